#!lua flags=allow-oom
-- Ends a job that waits, asks for the end of one that runs, leaves one that ended.
-- ARGV: 3 job 4 the state it must be in ("": any)
-- Returns {owner, token, changed}, {} if it is in another state, or nil
-- Cost: O(log jobs of the queue)
local function verb()
  local job = find(ARGV[3])
  if not job then return false end
  if ARGV[4] ~= '' and job.state ~= ARGV[4] then return {} end
  local told = ''
  if cancel(job) then
    save(job)
    told = tell(job)
  end
  return { job.owner, job.leaseToken, changed(job, told, '') }
end
