-- Calls a tenant's job off. A running one is told; a waiting one is leased to the caller, who closes it in the ledger
-- and lets it go: if the caller dies meanwhile, the lease ends and whoever takes the job back closes it.
local id, tenant, token, lease_until = unpack(ARGV, 3)
local job = call('HMGET', job_key(id), 'tenant', 'status')
if job[1] ~= tenant then return { 'absent', {} } end
if job[2] == 'processing' then
  call('HSET', job_key(id), 'cancel_asked', '1', 'updated_at', now)
  tell('cancel_asked', id)
  return { 'asked', call('HGETALL', job_key(id)) }
end
take_out(id)
call('ZADD', leases, lease_until, id)
call('HSET', job_key(id), 'cancel_asked', '1', 'token', token)
return { 'taken', call('HGETALL', job_key(id)) }
