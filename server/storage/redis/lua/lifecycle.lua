-- server/job/lifecycle.ts, function by function, on a record that is changed in place.
local MAX_DELIVERIES = 5
local MAX_JOINED_BY = 16
local REQUEST_ID_BYTES = 16

local function capped(till, run_until)
  return run_until > 0 and math.min(till, run_until) or till
end

-- Of run_timeout; 0 where there is none.
local function run_left(job)
  return job.runUntil > 0 and math.max(1, job.runUntil - NOW) or 0
end

local function unleased(job)
  job.leaseToken, job.leaseUntil, job.runUntil, job.owner = '', 0, 0, ''
end

local function settled(job)
  job.settledToken = job.leaseToken
  unleased(job)
end

local function finish(job, state, failure_kind)
  job.state, job.version = state, job.version + 1
  job.endTime, job.expireTime, job.dueTime = NOW, NOW + job.resultTtlMs, 0
  job.cancelRequested, job.failureKind = 0, failure_kind
end

local function requeue(job)
  job.state, job.version, job.workerId = 'queued', job.version + 1, ''
end

local function retry_later(job, delay)
  requeue(job)
  if delay > 0 then job.state, job.dueTime = 'scheduled', NOW + delay end
end

-- "" in a record: most jobs have it.
local DEFAULT_BACKOFF = '100,2,30000'

-- protocol/backoff.ts, with the same steps, so that both agree to the last bit.
local function backoff_ms(job, jitter)
  local backoff = job.backoff ~= '' and job.backoff or DEFAULT_BACKOFF
  local initial, multiplier, max = string.match(backoff, '([^,]+),([^,]+),([^,]+)')
  local bound, most, attempt = tonumber(initial), tonumber(max), 1
  while attempt < job.attempt and bound < most do
    bound, attempt = bound * tonumber(multiplier), attempt + 1
  end
  return math.floor(math.min(bound, most) * jitter)
end

local function retry(job, seq)
  job.state, job.version, job.seq = 'queued', job.version + 1, seq
  job.attempt, job.crashes, job.createTime = 0, 0, NOW
  job.startTime, job.endTime, job.expireTime, job.dueTime = 0, 0, 0, 0
  job.settledToken, job.cancelRequested, job.joinedBy, job.failureKind = '', 0, '', ''
end

local function become_due(job)
  job.state, job.version, job.dueTime = 'queued', job.version + 1, 0
end

local function claim(job, token, lease, owner, worker)
  job.state, job.version, job.attempt = 'running', job.version + 1, job.attempt + 1
  job.startTime, job.fence = NOW, math.max(job.fence + 1, NOW_US)
  job.runUntil = job.runTimeoutMs > 0 and NOW + job.runTimeoutMs or 0
  job.leaseToken, job.leaseUntil = token, capped(NOW + lease, job.runUntil)
  job.owner, job.workerId = owner, worker
end

local function complete(job)
  settled(job)
  finish(job, 'succeeded', '')
  job.crashes = 0
end

-- What is retried is the fourth part of the back-off, where it is not any failure.
local function only_unavailable(job)
  return string.find(job.backoff, ',unavailable', 1, true) ~= nil
end

-- `retryable`: "1" or "0" for jobs that are retried on any failure, then for those on UNAVAILABLE only.
-- Answers whether it ended with what the worker said.
local function fail(job, kind, message, retryable, retry_after, jitter)
  log_attempt(job, message)
  settled(job)
  if job.cancelRequested == 1 then return finish(job, 'cancelled', 'cancelled') end
  local at = only_unavailable(job) and 2 or 1
  local again = string.sub(retryable, at, at) == '1'
  if not again or job.attempt >= job.maxAttempts then
    finish(job, 'failed', kind)
    return true
  end
  job.crashes = 0
  retry_later(job, retry_after or backoff_ms(job, jitter))
end

local function release(job)
  settled(job)
  job.crashes, job.attempt = 0, job.attempt - 1
  if job.cancelRequested == 1 then return finish(job, 'cancelled', 'cancelled') end
  requeue(job)
end

local function undelivered(job, sent)
  settled(job)
  job.attempt, job.crashes = job.attempt - 1, job.crashes + sent
  if job.cancelRequested == 1 then return finish(job, 'cancelled', 'cancelled') end
  if job.crashes >= MAX_DELIVERIES then return finish(job, 'failed', 'crash_loop') end
  requeue(job)
end

-- Answers whether it ended with what the caller says of it.
local function stop(job, message)
  if job.cancelRequested == 1 then
    settled(job)
    return finish(job, 'cancelled', 'cancelled')
  end
  log_attempt(job, message)
  settled(job)
  finish(job, 'failed', 'handler')
  return true
end

local function expire_lease(job)
  log_attempt(job, 'lease expired')
  unleased(job)
  job.crashes = job.crashes + 1
  if job.cancelRequested == 1 then return finish(job, 'cancelled', 'cancelled') end
  if job.crashes >= MAX_DELIVERIES or job.attempt >= job.maxAttempts then
    return finish(job, 'failed', 'crash_loop')
  end
  requeue(job)
end

local function expire_run(job, jitter)
  log_attempt(job, 'run_timeout')
  unleased(job)
  if job.cancelRequested == 1 then return finish(job, 'cancelled', 'cancelled') end
  if job.attempt >= job.maxAttempts or only_unavailable(job) then return finish(job, 'failed', 'run_timeout') end
  retry_later(job, backoff_ms(job, jitter))
end

-- RUNNING whose time is over: which of the two it was.
local function expire(job, jitter)
  if job.runUntil > 0 and job.runUntil <= NOW then return expire_run(job, jitter) end
  expire_lease(job)
end

-- Answers whether anything changed.
local function cancel(job)
  if TERMINAL[job.state] or job.cancelRequested == 1 then return false end
  if job.state == 'running' then
    job.cancelRequested, job.version = 1, job.version + 1
  else
    finish(job, 'cancelled', 'cancelled')
  end
  return true
end

local function set_result_ttl(job, ttl)
  job.resultTtlMs, job.version = ttl, job.version + 1
  job.expireTime = TERMINAL[job.state] and NOW + ttl or 0
end

local function remember_join(job, request)
  job.joinedBy = string.sub(job.joinedBy .. request, -MAX_JOINED_BY * REQUEST_ID_BYTES)
end

local function joined_by(job, request)
  for at = 1, #job.joinedBy, REQUEST_ID_BYTES do
    if string.sub(job.joinedBy, at, at + REQUEST_ID_BYTES - 1) == request then return true end
  end
  return false
end
