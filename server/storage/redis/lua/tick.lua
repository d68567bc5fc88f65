#!lua flags=allow-oom
-- uses: lifecycle, time-driven
-- All time-driven work of the queue that is due, and when there will be more.
-- ARGV: 3 hungryHere 4 jitter 5 grace ("": none)
-- Returns {changed[], jobs in line, nextInMs (0: nothing is pending)}
-- Cost: O(jobs that are due × log jobs of the queue)
local work = gather(ARGV[5])
local answers = advance(work, tonumber(ARGV[4]), ARGV[3])

-- What was deleted by hand may have left a weight behind.
if call('ZCARD', SCHEDULED) + call('ZCARD', QUEUED) + call('ZCARD', RUNNING) == 0 then call('HDEL', META, 'b') end

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
return keep_look(work, { answers, call('ZCARD', QUEUED), nearest and math.max(1, nearest - NOW) or 0 })
