-- All work that time alone causes, at most 100 jobs of each kind: for tick, and before each claim.

-- Until when leases that are over are left alone, so that workers can renew; 0: they are not. Decided here and not by who
-- asks: what was sent before a stall arrives after it. A grace is always followed by a look that reaps.
local function grace_until(grace, till, looked)
  if till > 0 then return NOW < till and till or 0 end
  if grace == 0 or NOW - looked <= grace * 3 / 2 then return 0 end
  local any = call('ZRANGEBYSCORE', RUNNING, '-inf', int(NOW), 'LIMIT', 0, 1)
  return #any > 0 and NOW + grace or 0
end

-- The last step, which passes the reply on. Looks count while leases run; to within a part of the grace, so that they
-- cost few writes.
local function keep_look(work, reply)
  if work.till ~= work.was_till then
    if work.till > 0 then call('HSET', META, 'g', work.till) else call('HDEL', META, 'g') end
  end
  flush()
  if NOW - work.looked > work.grace / 4 and work.grace > 0 and call('ZCARD', RUNNING) > 0 then
    call('HSET', META, 'l', int(NOW))
  end
  return reply
end

-- Ids whose time in that index has come. Loads them.
local function due(index)
  local ids = call('ZRANGEBYSCORE', index, '-inf', int(NOW), 'LIMIT', 0, MAX_PER_KIND)
  for _, id in ipairs(ids) do load(id) end
  return ids
end

-- What is due, all of it read before the first write.
local function gather(grace)
  local meta = call('HMGET', META, 'g', 'l', 'p')
  local work = { grace = grace, looked = tonumber(meta[2] or 0), paused = meta[3] ~= false }
  work.was_till = tonumber(meta[1] or 0)
  work.till = grace_until(work.grace, work.was_till, work.looked)
  work.leases = work.till == 0 and due(RUNNING) or {}
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
      if not job then
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
  each(work.leases, is('running'), function(job) expire(job, jitter) end)
  each(work.starts, never_started, function(job) finish(job, 'failed', 'start_timeout') end)
  each(work.scheduled, is('scheduled'), become_due)
  for _, id in ipairs(work.finished) do forget(id) end
  flush()
  return answers, jobs
end
