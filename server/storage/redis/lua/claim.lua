#!lua flags=allow-oom
-- uses: lifecycle, time-driven
-- Leases the best jobs in line, after all time-driven work that is due. A repeat claims nothing: it answers what it still holds.
-- ARGV: 3 lane 4 claim 5 worker 6 max 7 maxBytes 8 lease 9 jitter 10 grace ("": none) 11… tokens, `max` of them
-- Returns {changed[], {job, attempt, maxAttempts, fence, token, runTimeoutLeft, createTime, version, cancelRequested,
--          bytes of the envelope, envelope and payload, tell}[], 1 if the queue is paused}
-- Cost: O((max + jobs that are due) × log jobs of the queue)
local lane, claim_id, worker, max = ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local max_bytes, lease = tonumber(ARGV[7]), tonumber(ARGV[8])
local owner = ME .. '.' .. lane
-- What the lane's newest claim got, long enough for any repeat: its number, then a job a line.
local last_claim, KEEP_CLAIM_MS = QUEUE .. 'c:' .. owner, 60000

local function answer(job)
  local id = kept[job].id
  return {
    id, job.attempt, job.maxAttempts, job.fence, job.leaseToken,
    job.runUntil > 0 and math.max(1, job.runUntil - NOW) or 0,
    job.createTime, job.version, job.cancelRequested, job.envelope,
    call('GET', PAYLOAD .. id) or '', others(job.watchers),
  }
end

local work = gather(ARGV[10])
local held = work.paused
local before = {}
for line in string.gmatch(call('GET', last_claim) or '-1', '[^\n]+') do before[#before + 1] = line end
local repeated, outdated = tonumber(before[1]) == claim_id, tonumber(before[1]) > claim_id
-- All that can be best: those in line, more by what leaves it below, and those that are due.
local line = (repeated or outdated or held) and {} or call('ZRANGE', QUEUED, 0, max + #work.starts - 1)
for _, id in ipairs(line) do load(id) end
for i = 2, repeated and #before or 0 do load(before[i]) end

local answers, moved = advance(work, tonumber(ARGV[9]), '1')
local jobs = {}
if repeated then
  for i = 2, #before do
    local job = leased(before[i], ARGV[9 + i])
    if job then jobs[#jobs + 1] = answer(job) end
  end
end
if repeated or outdated then return keep_look(work, { answers, jobs, held and 1 or 0 }) end

local best, bytes, ids = {}, 0, { int(claim_id) }
for id, job in pairs(loaded) do
  if not job or not kept[job].whole then
    forget(id)
  elseif job.state == 'queued' then
    best[#best + 1] = job
  end
end
table.sort(best, function(a, b) return kept[a].score < kept[b].score end)
for i = 1, held and 0 or math.min(max, #best) do
  local job = best[i]
  -- The first is always taken, so one alone need not be measured.
  if max > 1 then bytes = bytes + call('STRLEN', PAYLOAD .. kept[job].id) - job.envelope end
  if i > 1 and bytes > max_bytes then break end
  claim(job, ARGV[10 + i], lease, owner, worker)
  save(job)
  jobs[i], ids[i + 1] = answer(job), kept[job].id
end
if #jobs > 0 then call('SET', last_claim, table.concat(ids, '\n'), 'PX', KEEP_CLAIM_MS) end
-- What came into line and is left there is for other brokers to have.
for i, job in ipairs(moved) do answers[i][3] = wake(job, '0') end
if #jobs < max then
  call('ZADD', HUNGRY, NOW_US, ME)
  call('ZREMRANGEBYRANK', HUNGRY, 0, -65)
else
  call('ZREM', HUNGRY, ME)
end
return keep_look(work, { answers, jobs, held and 1 or 0 })
