-- settle.lua, for whatever does more in the same step.

-- The result takes the payload's place; what people read of the job stays.
local function drop_payload(id, job)
  if job.envelope == 0 then return call('DEL', PAYLOAD .. id) end
  call('SET', PAYLOAD .. id, call('GETRANGE', PAYLOAD .. id, 0, job.envelope - 1), 'KEEPTTL')
end

-- Answers whether the job ended with what the worker said.
local function end_attempt(job, kind, jitter, message)
  if kind == 'completed' then
    complete(job)
    return true
  elseif kind == 'failed' then
    return fail(job, ARGV[10], message, ARGV[11], tonumber(ARGV[12]), jitter)
  elseif kind == 'released' then
    release(job)
  elseif kind == 'cancelled' then
    return stop(job, message)
  else
    undelivered(job, tonumber(ARGV[13]))
  end
end

-- What another stream has adopted was received, whatever the one that it was sent to heard of it.
local function received_elsewhere(job, kind)
  return kind == 'undelivered' and job.owner ~= ME .. '.' .. ARGV[14]
end

local function settle()
  local _, _, hungry_here, id, token, jitter, kind, blob, message = unpack(ARGV)
  local job = leased(id, token)
  if not job then
    job = find(id)
    if not job or token == '' or job.settledToken ~= token then return { 'lost', false } end
    -- The first answer may be lost, and with it whom to tell: hints may be doubled.
    return { 'duplicate', changed(job, tell(job), wake(job, hungry_here)) }
  end
  if received_elsewhere(job, kind) then return { 'lost', false } end
  if end_attempt(job, kind, tonumber(jitter), message) then call('SET', OUTCOME .. id, blob) end
  save(job)
  if kind == 'completed' then drop_payload(id, job) end
  return { 'settled', changed(job, tell(job), wake(job, hungry_here), kind == 'completed') }
end
