-- Counts a job's attempts anew, and takes it for no danger to others. Answers whether the token holds it.
local id, token = unpack(ARGV, 3)
if not held(id, token) then return 0 end
call('HSET', job_key(id), 'attempts', '1', 'lone', '0', 'updated_at', now)
return 1
