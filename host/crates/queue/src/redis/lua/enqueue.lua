-- Adds a job, unless it is there already. With `replace`, what is there gives way: a remnant of its former life.
-- Answers whether it was added.
local id, kind, tenant, due, lone, replace = unpack(ARGV, 3, 8)
if call('EXISTS', job_key(id)) == 1 then
  if replace ~= '1' and kept(id) then return 0 end
  take_out(id)
  call('DEL', job_key(id))
end
call('HSET', job_key(id), 'status', 'pending', 'due_at', due, 'lone', lone, unpack(ARGV, 9))
wait(id, kind, tenant, due, lone)
return 1
