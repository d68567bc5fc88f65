#!lua
-- uses: lifecycle
-- Stores a job, joins it, or answers what is kept. Without allow-oom: a full Redis refuses it before it starts.
-- ARGV: 3 listen ("waiters", "watchers", "") 4 hungryHere 5 job 6 request 7 digest 8 on_duplicate 9 reject_payload_mismatch
--       10 priority, delay, max_attempts, run_timeout, start_timeout, result_ttl: doubles, little-endian 11 backoff
--       12 envelope 13 payload 14 max_length 15 max_bytes ("": none)
--       16 lane to lease it for at once ("": none) 17 worker 18 token 19 lease
-- Returns {"exists" | "mismatch" | disposition, status, mismatch, tell, wake, 1 if the queue had never had a job,
--          and if it was leased: {attempt, fence, runTimeoutLeft, createTime, version, tell}},
--         or {"queue_full", "max_length" | "max_bytes"}
-- Cost: O(log jobs of the queue)
local _, _, list, hungry_here, id, request, digest, policy, reject_mismatch, numbers, backoff, envelope, payload,
  max_length, max_bytes, lane, worker, token, lease = unpack(ARGV)
local old = find(id)

-- lifecycle.overLimit
local function over_limit()
  if max_length ~= '' and call('ZCARD', SCHEDULED) + call('ZCARD', QUEUED) + call('ZCARD', RUNNING) >= tonumber(max_length) then
    return 'max_length'
  end
  if max_bytes ~= '' and bytes_held() + #envelope + #payload > tonumber(max_bytes) then return 'max_bytes' end
end

local function claimed(job)
  local left = job.runUntil > 0 and math.max(1, job.runUntil - NOW) or 0
  return { job.attempt, job.fence, left, job.createTime, job.version, others(job.watchers) }
end

local function create(previous)
  local limit = over_limit()
  if limit then return { 'queue_full', limit } end
  local priority, delay, max_attempts, run_timeout, start_timeout, result_ttl = struct.unpack('<dddddd', numbers)
  local at_once = lane ~= '' and delay == 0 and call('ZCARD', QUEUED) == 0 and not paused()
  local seq = call('HINCRBY', META, 'n', 1)
  local job = fresh(id)
  job.state, job.version, job.seq = delay > 0 and 'scheduled' or 'queued', NOW_US, seq
  job.priority, job.maxAttempts, job.backoff = priority, max_attempts, backoff
  job.runTimeoutMs, job.startTimeoutMs, job.resultTtlMs = run_timeout, start_timeout, result_ttl
  job.createTime, job.dueTime = NOW, delay > 0 and NOW + delay or 0
  job.requestId, job.digest, job.envelope, job.payloadBytes = request, digest, envelope, #payload
  if previous then
    job.version, job.fence = math.max(previous.version + 1, NOW_US), previous.fence
    job.waiters, job.watchers = previous.waiters, previous.watchers
  end
  local told = previous and tell(job, true) or ''
  listen(job, list)
  local status = short(job)
  if at_once then claim(job, token, tonumber(lease), ME .. '.' .. lane, worker) end
  save(job, 'p', payload)
  return { 'created', status, 0, told, wake(job, hungry_here), seq == 1 and 1 or 0, at_once and claimed(job) }
end

local function answer(disposition, mismatch, remembers)
  if remembers then remember_join(old, request) end
  listen(old, list)
  save(old)
  -- A repeat may be here because the first answer was lost, and with it whom to wake.
  local woken = disposition == 'created' and wake(old, hungry_here) or ''
  local held = lane ~= '' and leased(id, token) and claimed(old)
  return { disposition, short(old), mismatch and 1 or 0, '', woken, 0, held }
end

if not old then return create() end
if request ~= '' and old.requestId == request then return answer('created', false, false) end
local terminal = TERMINAL[old.state]
local mismatch = digest ~= '' and digest ~= old.digest
if request ~= '' and joined_by(old, request) then return answer('joined', mismatch, false) end
if old.state == 'cancelled' then return create(old) end
if policy == 'reject' then return { 'exists', short(old) } end
if terminal and policy == 'rerun_if_finished' then return create(old) end
if old.state == 'failed' and policy == 'rerun_if_failed' then return create(old) end
if mismatch and reject_mismatch == '1' then return { 'mismatch', short(old) } end
local reruns = policy == 'rerun_if_failed' or policy == 'rerun_if_finished'
return answer(terminal and 'cached' or 'joined', mismatch, reruns and not terminal and request ~= '')
