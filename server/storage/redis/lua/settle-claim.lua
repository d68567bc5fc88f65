#!lua flags=allow-oom
-- Ends an attempt, and leases what is in line for the worker that is free now; what time alone causes is left to claim and tick.
-- ARGV: 3 to 11 as claim, 12… as settle from 3 on
-- Returns what settle does, and behind it what claim does: nothing where it leased nothing
-- Cost: O(max × log jobs of the queue)
local function verb()
  local it = look(paused(), 0)
  local reply = settle(12)
  local jobs = lease(it)
  if #jobs > 0 or it.held then reply[3] = { {}, jobs, it.held and 1 or 0 } end
  return reply
end
