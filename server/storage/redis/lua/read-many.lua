#!lua flags=no-writes
-- Short forms of jobs of one queue: the sweep of waiters.
-- ARGV: 3… jobs, at most 100
-- Returns of each job its status or nil
-- Cost: O(jobs)
local function verb()
  local answers = {}
  for i = 3, #ARGV do
    local job = find(ARGV[i])
    answers[i - 2] = job and short(job) or false
  end
  return answers
end
