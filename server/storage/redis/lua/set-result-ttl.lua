#!lua flags=allow-oom
-- How long the finished job is kept: from now if it has ended, from its end if not.
-- ARGV: 3 job 4 result_ttl
-- Returns changed or nil
-- Cost: O(log jobs of the queue)
local function verb()
  local job = find(ARGV[3])
  if not job then return false end
  set_result_ttl(job, tonumber(ARGV[4]))
  save(job)
  return changed(job, others(job.watchers), '')
end
