-- Removes a job that the ledger has closed, and tells its waiters.
local id, token, tenant = unpack(ARGV, 3)
if not held(id, token) then return 0 end
take_out(id)
call('DEL', job_key(id))
tell('finished', id, tenant)
return 1
