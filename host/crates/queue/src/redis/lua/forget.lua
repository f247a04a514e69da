-- Removes jobs that the ledger has closed, given as id, token and tenant each, and tells their waiters. A job that is
-- held waits nowhere, so only its lease and its delivery have to end.
local gone, news, streams = {}, {}, {}
for at = 3, #ARGV, 3 do
  local id, token, tenant = unpack(ARGV, at, at + 2)
  local job = call('HMGET', job_key(id), 'token', 'kind', 'entry')
  if job[1] == token then
    gone[#gone + 1] = id
    news[#news + 1], news[#news + 2] = id, tenant
    if job[3] then
      local stream = stream_key(job[2], tenant)
      streams[stream] = streams[stream] or { kind = job[2], tenant = tenant, entries = {} }
      table.insert(streams[stream].entries, job[3])
    end
  end
end
if #gone == 0 then return end
call('ZREM', leases, unpack(gone))
for stream, of in pairs(streams) do drop_entries(stream, of.kind, of.tenant, of.entries) end
for at, id in ipairs(gone) do gone[at] = job_key(id) end
call('DEL', unpack(gone))
tell('finished', unpack(news))
