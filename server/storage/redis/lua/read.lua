#!lua flags=no-writes
-- The whole job.
-- ARGV: 3 job
-- Returns {status, record, report of progress or nil} or nil
-- Cost: O(1)
local function verb()
  local job = find(ARGV[3])
  if not job then return false end
  return whole_of(job)
end
