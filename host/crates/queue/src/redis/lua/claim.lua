-- Takes back what lost its worker, promotes what has become due, and leases the next jobs.
-- Answers three things: the jobs sent back to run by themselves, the jobs whose last lease ended (the ledger has to
-- close them before they can go), and the leased jobs.
local worker, lease_until, token, alone, most = unpack(ARGV, 3, 7)
local kinds = { unpack(ARGV, 8) }

-- So many are taken back or promoted in one call, that none takes long.
local STEP = 64

local function reap()
  local lost, over = {}, {}
  for _, id in ipairs(call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, STEP)) do
    local job = call('HMGET', job_key(id), 'attempts', 'max_attempts', 'cancel_asked')
    if not job[1] then
      call('ZREM', leases, id)
    elseif job[3] == '1' or tonumber(job[1]) >= tonumber(job[2]) then
      over[#over + 1] = call('HGETALL', job_key(id))
    else
      local kind = take_out(id)
      call('HSET', job_key(id), 'status', 'pending', 'lone', '1', 'due_at', now, 'updated_at', now,
        'progress', '-1', 'message', '')
      call('ZADD', lone_key(kind), now, id)
      lost[#lost + 1] = call('HGETALL', job_key(id))
    end
  end
  return lost, over
end

local function promote()
  for _, id in ipairs(call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, STEP)) do
    call('ZREM', delayed, id)
    local job = call('HMGET', job_key(id), 'kind', 'tenant', 'due_at')
    if job[1] then ready(id, job[1], job[2], job[3]) end
  end
end

local function next_lone()
  local next, next_due, next_kind
  for _, kind in ipairs(kinds) do
    local first = call('ZRANGEBYSCORE', lone_key(kind), '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
    local due = tonumber(first[2])
    if due and (not next or due < next_due) then next, next_due, next_kind = first[1], due, kind end
  end
  if next then call('ZREM', lone_key(next_kind), next) end
  return next
end

-- The tenant whose turn came the longest ago.
local function next_tenant()
  local tenant, turn
  for _, kind in ipairs(kinds) do
    local first = call('ZRANGE', line_key(kind), 0, 0, 'WITHSCORES')
    local its = tonumber(first[2])
    if its and (not turn or its < turn) then tenant, turn = first[1], its end
  end
  return tenant
end

-- The kind of which the tenant has the job that has been due the longest.
local function oldest_kind(tenant)
  if #kinds == 1 then return kinds[1] end
  local oldest, oldest_due, oldest_id
  for _, kind in ipairs(kinds) do
    if call('ZSCORE', line_key(kind), tenant) then
      local first = head(stream_key(kind, tenant))
      if first then
        local id, due = first[2][2], tonumber(first[2][4])
        if not oldest or due < oldest_due or (due == oldest_due and id < oldest_id) then
          oldest, oldest_due, oldest_id = kind, due, id
        end
      else
        call('ZREM', line_key(kind), tenant)
      end
    end
  end
  return oldest
end

-- Delivers the next entry of a stream; answers its job if that is really waiting there.
local function deliver(kind, tenant)
  local stream = stream_key(kind, tenant)
  local read = redis.pcall('XREADGROUP', 'GROUP', 'workers', 'workers', 'COUNT', 1, 'STREAMS', stream, '>')
  if not read or read.err then
    -- Somebody laid hands on it.
    if read and call('EXISTS', stream) == 1 then
      call('XGROUP', 'CREATE', stream, 'workers', '0')
    else
      call('ZREM', line_key(kind), tenant)
    end
    return nil
  end
  local entry, id = read[1][2][1][1], read[1][2][1][2][2]
  -- Its turn is over for every kind that this worker takes.
  local more = call('XRANGE', stream, '(' .. entry, '+', 'COUNT', 1)[1]
  if not more then call('ZREM', line_key(kind), tenant) end
  if more or #kinds > 1 then
    local turn = next_turn()
    for _, other in ipairs(kinds) do call('ZADD', line_key(other), 'XX', turn, tenant) end
  end
  local job = call('HMGET', job_key(id), 'entry', 'token')
  if job[1] ~= entry then
    drop_entry(kind, tenant, entry)
  elseif not job[2] then
    return id
  end
end

local function next_shared()
  for _ = 1, STEP do
    local tenant = next_tenant()
    if not tenant then return nil end
    local kind = oldest_kind(tenant)
    local id = kind and deliver(kind, tenant)
    if id then return id end
  end
end

local lost, over = reap()
promote()
local claimed = {}
for _ = 1, most do
  local id
  if alone == '1' then id = next_lone() else id = next_shared() end
  if not id then break end
  call('ZADD', leases, lease_until, id)
  call('HSET', job_key(id), 'status', 'processing', 'token', token, 'worker', worker, 'started_at', now,
    'updated_at', now)
  call('HINCRBY', job_key(id), 'attempts', 1)
  claimed[#claimed + 1] = call('HGETALL', job_key(id))
end
return { lost, over, claimed }
