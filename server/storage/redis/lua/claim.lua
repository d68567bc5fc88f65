#!lua flags=allow-oom
-- uses: lifecycle, time-driven, claiming
-- Leases the best jobs in line, after all time-driven work that is due. A repeat claims nothing: it answers what it still holds.
-- ARGV: 3 lane 4 claim 5 worker 6 max 7 maxBytes 8 lease 9 jitter 10 grace ("": none) 11… tokens, `max` of them
-- Returns {changed[], {job, attempt, maxAttempts, fence, token, runTimeoutLeft, createTime, version, cancelRequested,
--          bytes of the envelope, envelope and payload, tell}[], 1 if the queue is paused}
-- Cost: O((max + jobs that are due) × log jobs of the queue)
local work = gather(ARGV[10])
-- All that can be best: those in line, more by what leaves it below, and those that are due.
local it = look(3, work.paused, #work.starts)
local answers, moved = advance(work, tonumber(ARGV[9]), '1')
local jobs = lease(it)
-- What came into line and is left there is for other brokers to have.
for i, job in ipairs(it.anew and moved or {}) do answers[i][3] = wake(job, '0') end
return keep_look(work, { answers, jobs, it.held and 1 or 0 })
