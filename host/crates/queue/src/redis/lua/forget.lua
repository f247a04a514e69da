-- Removes jobs that the ledger has closed, given as id, token and tenant each, and tells their waiters.
for at = 3, #ARGV, 3 do
  local id, token, tenant = unpack(ARGV, at, at + 2)
  if held(id, token) then
    take_out(id)
    call('DEL', job_key(id))
    tell('finished', id, tenant)
  end
end
