-- Takes back what lost its worker, promotes what has become due, and leases the next jobs.
-- Answers three things: the jobs sent back to run by themselves, the jobs whose last lease ended (the ledger has to
-- close them before they can go), and the leased jobs.
local worker, lease_until, token, alone, most, kinds_given = unpack(ARGV, 3, 8)
local kinds = { unpack(ARGV, 9, 8 + kinds_given) }
-- Tenants whose turn it is not, however long they have stood in line.
local passed_over, passed_over_given = {}, #ARGV - 8 - kinds_given
for at = 9 + kinds_given, #ARGV do passed_over[ARGV[at]] = true end

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
    local first = call('ZRANGE', line_key(kind), 0, passed_over_given, 'WITHSCORES')
    for at = 1, #first, 2 do
      local its = tonumber(first[at + 1])
      if not passed_over[first[at]] then
        if not turn or its < turn then tenant, turn = first[at], its end
        break
      end
    end
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

-- The fields of a job that stand in a flat list of names and values.
local function fields_of(list)
  local fields = {}
  for at = 1, #list, 2 do fields[list[at]] = list[at + 1] end
  return fields
end

-- Leases are written together: what the jobs were before stands in front of what they are now.
local claimed, leased = {}, {}
local function lease(id, job, fields)
  local change = { 'status', 'processing', 'token', token, 'worker', worker, 'started_at', now, 'updated_at', now,
    'attempts', string.format('%d', (tonumber(fields.attempts) or 0) + 1) }
  call('HSET', job_key(id), unpack(change))
  for _, part in ipairs(change) do job[#job + 1] = part end
  claimed[#claimed + 1] = job
  leased[#leased + 1], leased[#leased + 2] = lease_until, id
end

-- Delivers up to so many entries of a stream and leases the jobs that are really waiting there.
local function deliver(kind, tenant, most)
  local stream = stream_key(kind, tenant)
  local read = redis.pcall('XREADGROUP', 'GROUP', 'workers', 'workers', 'COUNT', most, 'STREAMS', stream, '>')
  if not read or read.err then
    -- Somebody laid hands on it.
    if read and call('EXISTS', stream) == 1 then
      call('XGROUP', 'CREATE', stream, 'workers', '0')
    else
      call('ZREM', line_key(kind), tenant)
    end
    return
  end
  local entries = read[1][2]
  -- Its turn is over for every kind that this worker takes.
  local more = call('XRANGE', stream, '(' .. entries[#entries][1], '+', 'COUNT', 1)[1]
  if not more then call('ZREM', line_key(kind), tenant) end
  if more or #kinds > 1 then
    local turn = next_turn()
    for _, other in ipairs(kinds) do call('ZADD', line_key(other), 'XX', turn, tenant) end
  end
  local stale = {}
  for _, entry in ipairs(entries) do
    local id = entry[2][2]
    local job = call('HGETALL', job_key(id))
    local fields = fields_of(job)
    if fields.entry ~= entry[1] then
      stale[#stale + 1] = entry[1]
    elseif not fields.token then
      lease(id, job, fields)
    end
  end
  if #stale > 0 then drop_entries(stream, kind, tenant, stale) end
end

local function claim_lone()
  local id = next_lone()
  if not id then return false end
  local job = call('HGETALL', job_key(id))
  if #job > 0 then lease(id, job, fields_of(job)) end
  return true
end

-- With nobody else in line all turns are the same tenant's, so they are taken in one go.
local function claim_shared()
  local tenant = next_tenant()
  if not tenant then return false end
  local kind = oldest_kind(tenant)
  local only = #kinds == 1 and call('ZCARD', line_key(kinds[1])) == 1
  if kind then deliver(kind, tenant, only and most - #claimed or 1) end
  return true
end

local lost, over = reap()
promote()
local steps = 0
while #claimed < tonumber(most) and steps < tonumber(most) + STEP do
  steps = steps + 1
  local found
  if alone == '1' then found = claim_lone() else found = claim_shared() end
  if not found then break end
end
if #leased > 0 then call('ZADD', leases, unpack(leased)) end
return { lost, over, claimed }
