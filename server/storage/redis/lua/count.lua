#!lua flags=no-writes
-- How many jobs the queue has in each state.
-- ARGV: none
-- Returns {scheduled, queued, running, succeeded, failed, cancelled, 1 if it is paused, age of the first in line or -1,
--          bytes of unfinished jobs}
-- Cost: O(log jobs of the queue)
local function verb()
  local counts = {}
  for i, index in ipairs({
    SCHEDULED, QUEUED, RUNNING, ended_index('succeeded'), ended_index('failed'), ended_index('cancelled'),
  }) do
    counts[i] = call('ZCARD', index)
  end
  local first = call('ZRANGE', QUEUED, 0, 0)[1]
  local job = first and load(first)
  counts[7] = paused() and 1 or 0
  counts[8] = job and math.max(0, NOW - job.createTime) or -1
  counts[9] = bytes_held()
  return counts
end
