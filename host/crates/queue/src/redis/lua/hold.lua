-- The job, if the token holds it.
local id, token = unpack(ARGV, 3)
if not held(id, token) then return {} end
return call('HGETALL', job_key(id))
