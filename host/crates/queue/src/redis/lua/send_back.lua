-- Makes a leased job wait again. Answers 1; 0 if the token is stale; 2 if it was called off and has to end instead.
local id, token, due, lone, attempts, failure = unpack(ARGV, 3)
if not held(id, token) then return 0 end
if call('HGET', job_key(id), 'cancel_asked') == '1' then return 2 end
local kind, tenant = take_out(id)
call('HSET', job_key(id), 'status', 'pending', 'due_at', due, 'lone', lone, 'attempts', attempts, 'put_at', now,
  'updated_at', now, 'progress', '-1', 'message', '')
if failure ~= '' then call('HSET', job_key(id), 'error', failure) end
wait(id, kind, tenant, due, lone)
return 1
