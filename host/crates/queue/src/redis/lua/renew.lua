-- Extends a lease. Answers whether the job's cancellation was asked for, or -1 if the token is stale.
local id, token, lease_until = unpack(ARGV, 3)
if not held(id, token) then return -1 end
call('ZREM', leases, id)
call('ZADD', leases, lease_until, id)
return tonumber(call('HGET', job_key(id), 'cancel_asked'))
