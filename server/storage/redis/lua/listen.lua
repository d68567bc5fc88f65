#!lua flags=allow-oom
-- read, with this broker remembered in the same step. A script of its own, so that read can be refused by nothing.
-- ARGV: 3 job 4 "waiters" | "watchers"
-- Returns as read
-- Cost: O(1)
local function verb()
  local job = find(ARGV[3])
  if not job then return false end
  listen(job, ARGV[4])
  save(job)
  return whole_of(job)
end
