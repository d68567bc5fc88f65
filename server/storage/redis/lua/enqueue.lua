#!lua
-- Stores a job, joins it, or answers what is kept. Without allow-oom: a full Redis refuses it before it starts.
-- ARGV: 3 listen ("waiters", "watchers", "") 4 hungryHere 5 job 6 request 7 digest 8 on_duplicate 9 reject_payload_mismatch
--       10 delay 11 max_length 12 max_bytes 13 priority 14 max_attempts 15 run_timeout 16 start_timeout 17 result_ttl
--       18 backoff ("": the default) 19 envelope 20 payload 21 lane to lease it for at once ("": none) 22 worker 23 token 24 lease
-- Returns {"exists" | "mismatch" | disposition, status, mismatch, tell, wake, 1 if the queue had never had a job,
--          and if it was leased: {attempt, fence, runTimeoutLeft, createTime, version, tell}},
--         or {"queue_full", "max_length" | "max_bytes"}
-- Cost: O(log jobs of the queue)
local list, hungry_here, id, request, digest, policy, reject_mismatch, delay, max_length, max_bytes, priority
local max_attempts, run_timeout, start_timeout, result_ttl, backoff, envelope, payload, lane, worker, token, lease

-- lifecycle.overLimit
local function over_limit()
  if max_length < math.huge and unfinished() >= max_length then return 'max_length' end
  if max_bytes < math.huge and bytes_held() + #envelope + #payload > max_bytes then return 'max_bytes' end
end

local function claimed(job)
  return { job.attempt, job.fence, run_left(job), job.createTime, job.version, others(job.watchers) }
end

local function create(previous)
  local limit = over_limit()
  if limit then return { 'queue_full', limit } end
  local at_once = lane ~= '' and delay == 0 and line_length() == 0 and not paused()
  local seq = next_number()
  local job = fresh(id)
  job.state, job.version, job.seq = delay > 0 and 'scheduled' or 'queued', NOW_US, seq
  job.priority, job.maxAttempts, job.resultTtlMs = priority, max_attempts, result_ttl
  job.runTimeoutMs, job.startTimeoutMs = run_timeout, start_timeout
  job.createTime, job.dueTime, job.backoff = NOW, delay > 0 and NOW + delay or 0, backoff
  job.requestId, job.digest, job.envelope, job.payloadBytes = request, digest, envelope, #payload
  if previous then
    job.version, job.fence = math.max(previous.version + 1, NOW_US), previous.fence
    job.waiters, job.watchers = previous.waiters, previous.watchers
  end
  local told = previous and tell(job, true) or ''
  listen(job, list)
  local status = short(job)
  if at_once then claim(job, token, lease, ME .. '.' .. lane, worker) end
  save(job, 'p', payload)
  return { 'created', status, 0, told, wake(job, hungry_here), seq == 1 and 1 or 0, at_once and claimed(job) }
end

local function answer(old, disposition, mismatch, remembers)
  if remembers then remember_join(old, request) end
  listen(old, list)
  save(old)
  -- A repeat may be here because the first answer was lost, and with it whom to wake.
  local woken = disposition == 'created' and wake(old, hungry_here) or ''
  local held = lane ~= '' and leased(id, token) and claimed(old)
  return { disposition, short(old), mismatch and 1 or 0, '', woken, 0, held }
end

-- lifecycle.decideEnqueue
local function decide(old)
  if request ~= '' and old.requestId == request then return answer(old, 'created', false, false) end
  local terminal, mismatch = TERMINAL[old.state], digest ~= '' and digest ~= old.digest
  if request ~= '' and joined_by(old, request) then return answer(old, 'joined', mismatch, false) end
  if old.state == 'cancelled' then return create(old) end
  if policy == 'reject' then return { 'exists', short(old) } end
  if terminal and policy == 'rerun_if_finished' then return create(old) end
  if old.state == 'failed' and policy == 'rerun_if_failed' then return create(old) end
  if mismatch and reject_mismatch == '1' then return { 'mismatch', short(old) } end
  local reruns = policy == 'rerun_if_failed' or policy == 'rerun_if_finished'
  return answer(old, terminal and 'cached' or 'joined', mismatch, reruns and not terminal and request ~= '')
end

local function verb()
  list, hungry_here, id, request, digest, policy, reject_mismatch,
    delay, max_length, max_bytes, priority, max_attempts, run_timeout, start_timeout, result_ttl,
    backoff, envelope, payload, lane, worker, token, lease = unpack(ARGV, 3, 24)
  local old = find(id)
  return old and decide(old) or create()
end
