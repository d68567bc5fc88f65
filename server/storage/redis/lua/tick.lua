#!lua flags=allow-oom
-- All time-driven work of the queue that is due, and when there will be more.
-- ARGV: 3 hungryHere 4 jitter 5 grace ("": none)
-- Returns {changed[], jobs in line, nextInMs (0: nothing is pending), 1 if the queue has nothing and is not paused}
-- Cost: O(jobs that are due × log jobs of the queue)
local function verb()
  local KEEP_HUNGRY_US = 600 * 1000000
  local work = gather(tonumber(ARGV[5]) or 0)
  local answers = advance(work, tonumber(ARGV[4]), ARGV[3])

  -- What was deleted by hand may have left a weight behind.
  if unfinished() == 0 then call('HDEL', META, 'b') end

  local nearest
  local function consider(index, not_before)
    local first = call('ZRANGE', index, 0, 0, 'WITHSCORES')
    local at = first[2] and math.max(tonumber(first[2]), not_before)
    if at and (not nearest or at < nearest) then nearest = at end
  end
  consider(RUNNING, work.till)
  consider(SCHEDULED, 0)
  consider(START_BY, 0)
  consider(FINISHED, 0)

  local line = call('ZCARD', QUEUED)
  local empty = not nearest and line == 0 and not work.paused
  local reply = { answers, line, nearest and math.max(1, nearest - NOW) or 0, empty and 1 or 0 }
  if not empty then return keep_look(work, reply) end
  -- Without jobs, and not paused, there is nothing to remember of a queue, but which brokers had room of late.
  call('DEL', META)
  call('ZREMRANGEBYSCORE', HUNGRY, '-inf', int(NOW_US - KEEP_HUNGRY_US))
  return reply
end
