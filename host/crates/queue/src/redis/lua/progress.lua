-- Notes how far a job is, and tells those who watch it. Answers whether the token holds it.
local id, token, percent, message = unpack(ARGV, 3)
if not held(id, token) then return 0 end
call('HSET', job_key(id), 'progress', percent, 'message', message, 'updated_at', now)
tell('moved', id)
return 1
