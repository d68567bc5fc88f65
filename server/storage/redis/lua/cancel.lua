#!lua flags=allow-oom
-- uses: lifecycle
-- Ends a job that waits, asks for the end of one that runs, leaves one that ended.
-- ARGV: 3 job
-- Returns {owner, token, changed} or nil
-- Cost: O(log jobs of the queue)
local job = find(ARGV[3])
if not job then return false end
local told = ''
if cancel(job) then
  save(job)
  told = tell(job)
end
return { job.owner, job.leaseToken, changed(job, told, '') }
