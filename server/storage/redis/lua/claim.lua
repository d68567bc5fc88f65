#!lua flags=allow-oom
-- Leases the best jobs in line, after all time-driven work that is due. A repeat claims nothing: it answers what it still holds.
-- ARGV: 3 lane 4 worker 5 claim 6 max 7 maxBytes 8 lease 9 jitter 10 grace (0: none) 11 tokens, `max` of them
-- Returns {changed[], {job, attempt, maxAttempts, fence, token, runTimeoutLeft, createTime, version, cancelRequested,
--          envelope, payload, tell}[], 1 if the queue is paused}
-- Cost: O((max + jobs that are due) × log jobs of the queue)
local function verb()
  local jitter, grace = ARGV[9], ARGV[10]
  local work = gather(grace)
  -- All that can be best: those in line, more by what leaves it below, and those that are due.
  local it = look(work.paused, #work.starts)
  local answers, moved = advance(work, jitter, '1')
  local jobs = lease(it)
  -- What came into line and is left there is for other brokers to have.
  for i, job in ipairs(it.anew and moved or {}) do answers[i][3] = wake(job, '0') end
  return keep_look(work, { answers, jobs, it.held and 1 or 0 })
end
