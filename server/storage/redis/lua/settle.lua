#!lua flags=allow-oom
-- uses: lifecycle
-- Ends an attempt. Only the current token can; repeating the accepted one is a duplicate.
-- ARGV: 3 hungryHere 4 job 5 token 6 jitter 7 "completed" | "failed" | "released" | "cancelled" | "undelivered"
--       8 blob of the outcome 9 message for the history 10 failure kind 11 retryable 12 retry_after ("": back-off) 13 sent
-- Returns {"settled" | "duplicate", changed} or {"lost"}; the result of this very call is not sent back
-- Cost: O(log jobs of the queue)
local _, _, hungry_here, id, token, jitter, kind, blob, message = unpack(ARGV)
local job = leased(id, token)

if not job then
  job = find(id)
  if not job or token == '' or job.settledToken ~= token then return { 'lost' } end
  -- The first answer may be lost, and with it whom to tell: hints may be doubled.
  return { 'duplicate', changed(job, tell(job), wake(job, hungry_here)) }
end

-- The result takes the payload's place; what people read of the job stays.
local function drop_payload()
  if job.envelope == 0 then return call('DEL', PAYLOAD .. id) end
  call('SET', PAYLOAD .. id, call('GETRANGE', PAYLOAD .. id, 0, job.envelope - 1), 'KEEPTTL')
end

local detailed = false
if kind == 'completed' then
  detailed = true
  complete(job)
elseif kind == 'failed' then
  detailed = fail(job, ARGV[10], message, ARGV[11] == '1', tonumber(ARGV[12]), tonumber(jitter))
elseif kind == 'released' then
  release(job)
elseif kind == 'cancelled' then
  detailed = stop(job, message)
else
  undelivered(job, tonumber(ARGV[13]))
end
if detailed then call('SET', OUTCOME .. id, blob) end
save(job)
if kind == 'completed' then drop_payload() end
return { 'settled', changed(job, tell(job), wake(job, hungry_here), kind == 'completed') }
