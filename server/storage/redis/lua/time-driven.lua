-- All work that time alone causes, at most 100 jobs of each kind: for tick, and before each claim.

-- Leases of the queue are not reaped before grace_until. A row of graces that follow each other without a
-- chance to reap between lasts at most twice what its first one asked for.
local function may_reap(grace, g, G)
  local till, limit = tonumber(g or 0), tonumber(G or 0)
  if grace ~= '' then
    if limit == 0 then limit = NOW + 2 * tonumber(grace) end
    till = math.max(till, math.min(NOW + tonumber(grace), limit))
  end
  return NOW >= till, till, limit
end

local function keep_grace(over, till, limit, grace)
  if over and limit > 0 then call('HDEL', META, 'g', 'G') end
  if not over and grace ~= '' then call('HSET', META, 'g', till, 'G', limit) end
end

local NOW_TEXT = int(NOW)

-- Ids whose time in that index has come. Loads them.
local function due(index)
  local ids = call('ZRANGEBYSCORE', index, '-inf', NOW_TEXT, 'LIMIT', 0, MAX_PER_KIND)
  for _, id in ipairs(ids) do load(id) end
  return ids
end

-- What is due, all of it read before the first write.
local function gather(grace)
  local meta = call('HMGET', META, 'g', 'G', 'p')
  local work = { grace = grace, paused = meta[3] ~= false }
  work.reap, work.till, work.limit = may_reap(grace, meta[1], meta[2])
  work.leases = work.reap and due(RUNNING) or {}
  work.starts, work.scheduled, work.finished = due(START_BY), due(SCHEDULED), due(FINISHED)
  return work
end

-- Leases before due times: a job that is back in line is claimed in its old place, not after those that were waiting.
-- Answers what changed, and the jobs in the same order.
local function advance(work, jitter, hungry_here)
  local answers, jobs = {}, {}
  local function each(ids, state, step)
    for _, id in ipairs(ids) do
      local job = load(id)
      if not job or not kept[job].whole then
        forget(id)
      elseif state(job) then
        step(job)
        save(job)
        answers[#answers + 1] = changed(job, tell(job), wake(job, hungry_here))
        jobs[#jobs + 1] = job
      end
    end
  end
  local function is(state) return function(job) return job.state == state end end
  local function never_started(job) return start_by(job) > 0 end
  keep_grace(work.reap, work.till, work.limit, work.grace)
  each(work.leases, is('running'), function(job) expire(job, jitter) end)
  each(work.starts, never_started, function(job) finish(job, 'failed', 'start_timeout') end)
  each(work.scheduled, is('scheduled'), become_due)
  for _, id in ipairs(work.finished) do forget(id) end
  return answers, jobs
end
