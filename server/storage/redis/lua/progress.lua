#!lua flags=allow-oom
-- Stores a report of progress. Only the current token can.
-- ARGV: 3 job 4 token 5 report
-- Returns {status, tell} or nil
-- Cost: O(1)
local function verb()
  local job = leased(ARGV[3], ARGV[4])
  if not job then return false end
  job.version = job.version + 1
  save(job, 'g', ARGV[5])
  return { short(job), tell(job) }
end
