#!lua flags=allow-oom
-- Renews leases, adopts them for another stream, or shortens those of a stream that ended.
-- ARGV: 3 "renew" | "adopt" | "shorten" 4 owner 5 lease 6… job, token, of at most 100 jobs
-- Returns of each job 0, or {cancelRequested, owner before}
-- Cost: O(jobs × log running jobs of the queue)
local function verb()
  local mode, owner, lease = ARGV[3], ARGV[4], tonumber(ARGV[5])
  local answers = {}
  for i = 6, #ARGV, 2 do load(ARGV[i]) end
  for i = 6, #ARGV, 2 do
    local job = leased(ARGV[i], ARGV[i + 1])
    if not job or (mode == 'shorten' and job.owner ~= owner) then
      answers[#answers + 1] = 0
    else
      answers[#answers + 1] = { job.cancelRequested, mode == 'adopt' and job.owner or '' }
      if mode == 'adopt' then job.owner = owner end
      if mode == 'shorten' then
        job.leaseUntil = math.min(job.leaseUntil, NOW + lease)
      else
        job.leaseUntil = capped(NOW + lease, job.runUntil)
      end
      save(job)
    end
  end
  return answers
end
