-- settle.lua, for whatever does more in the same step.

-- Answers in which field of the job the worker's word is kept, if the job ended with it: a result takes the payload's place.
local function end_attempt(job, at, kind, jitter, message)
  if kind == 'completed' then
    complete(job)
    return 'p'
  elseif kind == 'failed' then
    local failure_kind, retryable, retry_after = unpack(ARGV, at + 7, at + 9)
    return fail(job, failure_kind, message, retryable, tonumber(retry_after), jitter) and 'o'
  elseif kind == 'released' then
    release(job)
  elseif kind == 'cancelled' then
    return stop(job, message) and 'o'
  else
    undelivered(job, tonumber(ARGV[at + 10]))
  end
end

-- What another stream has adopted was received, whatever the one that it was sent to heard of it.
local function received_elsewhere(job, at, kind)
  return kind == 'undelivered' and job.owner ~= ME .. '.' .. ARGV[at + 11]
end

-- ARGV as in settle.lua, from `at` on.
local function settle(at)
  local hungry_here, id, token, jitter, kind, blob, message = unpack(ARGV, at, at + 6)
  local job = leased(id, token)
  if not job then
    job = find(id)
    if not job or token == '' or job.settledToken ~= token then return { 'lost', false } end
    -- The first answer may be lost, and with it whom to tell: hints may be doubled.
    return { 'duplicate', changed(job, tell(job), wake(job, hungry_here)) }
  end
  if received_elsewhere(job, at, kind) then return { 'lost', false } end
  local field = end_attempt(job, at, kind, jitter, message)
  if field then save(job, field, blob) else save(job) end
  return { 'settled', changed(job, tell(job), wake(job, hungry_here), kind == 'completed') }
end
