-- Goes before every script: where things are kept, and the few ways in which a job moves.
--
-- KEYS[1] is the prefix of all keys; its hash tag puts them into one slot. ARGV[1] is the time in microseconds,
-- ARGV[2] who is to be left out when the news is heard (see `news.rs`).
--
-- When memory is full, Redis refuses a script's command that needs some, but only as its *first* write. So scripts that
-- add a job start with such a command, and the ones that move or settle one start with a command that needs none:
-- at `maxmemory` nothing comes in, and what is in still gets out.

local prefix, now, origin = KEYS[1], ARGV[1], ARGV[2]
local call = redis.call

local leases, delayed = prefix .. 'leases', prefix .. 'delayed'

local function job_key(id) return prefix .. 'job:' .. id end
local function line_key(kind) return prefix .. 'line:' .. kind end
local function lone_key(kind) return prefix .. 'lone:' .. kind end

-- The length keeps `a:b` of `c` and `a` of `b:c` apart.
local function stream_key(kind, tenant) return prefix .. 'ready:' .. #kind .. ':' .. kind .. ':' .. tenant end

local function tell(...)
  call('PUBLISH', prefix .. 'news', cjson.encode({ origin, ... }))
end

local function next_turn() return call('INCR', prefix .. 'turn') end

local function held(id, token) return call('HGET', job_key(id), 'token') == token end

-- The first entry of a stream that was not delivered yet.
local function head(stream)
  if call('EXISTS', stream) == 0 then return nil end
  local group, after = call('XINFO', 'GROUPS', stream)[1] or {}, '0'
  for at = 1, #group, 2 do
    if group[at] == 'last-delivered-id' then after = group[at + 1] end
  end
  return call('XRANGE', stream, '(' .. after, '+', 'COUNT', 1)[1]
end

-- Whether a job is there and will be served: it is leased, or waits where somebody looks.
local function kept(id)
  local job = call('HMGET', job_key(id), 'kind', 'tenant', 'entry', 'token')
  local kind, tenant, entry, token = job[1], job[2], job[3], job[4]
  if not kind then return false end
  if token then return call('ZSCORE', leases, id) end
  if entry then
    return call('ZSCORE', line_key(kind), tenant) and call('XRANGE', stream_key(kind, tenant), entry, entry)[1]
  end
  return call('ZSCORE', delayed, id) or call('ZSCORE', lone_key(kind), id)
end

-- Puts a job that is due into its tenant's stream, and the tenant at the end of the line if it stands in none.
local function ready(id, kind, tenant, due)
  local stream = stream_key(kind, tenant)
  if call('EXISTS', stream) == 0 then call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM') end
  local entry = call('XADD', stream, '*', 'id', id, 'due', due)
  call('HSET', job_key(id), 'entry', entry)
  if not call('ZSCORE', line_key(kind), tenant) then call('ZADD', line_key(kind), next_turn(), tenant) end
  tell('arrived', kind)
end

-- Lets a pending job wait where it belongs.
local function wait(id, kind, tenant, due, lone)
  if lone == '1' then
    call('ZADD', lone_key(kind), due, id)
  elseif tonumber(due) > tonumber(now) then
    call('ZADD', delayed, due, id)
  else
    ready(id, kind, tenant, due)
  end
end

-- Ends the delivery of entries, or prevents it. An empty stream goes, and with it the tenant's place in the line.
local function drop_entries(stream, kind, tenant, entries)
  local delivered = call('XACK', stream, 'workers', unpack(entries)) == #entries
  call('XDEL', stream, unpack(entries))
  if call('XLEN', stream) == 0 then
    call('DEL', stream)
    call('ZREM', line_key(kind), tenant)
  elseif not delivered and not head(stream) then
    call('ZREM', line_key(kind), tenant)
  end
end

-- Takes a job out of wherever it waits or is leased; only its hash stays. Answers its kind and tenant.
local function take_out(id)
  local job = call('HMGET', job_key(id), 'kind', 'tenant', 'entry')
  local kind, tenant, entry = job[1], job[2], job[3]
  call('ZREM', leases, id)
  call('ZREM', delayed, id)
  call('ZREM', lone_key(kind), id)
  if entry then drop_entries(stream_key(kind, tenant), kind, tenant, { entry }) end
  call('HDEL', job_key(id), 'token', 'worker', 'entry')
  return kind, tenant
end
