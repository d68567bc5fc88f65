#!lua flags=allow-oom
-- uses: lifecycle, settling, claiming
-- Ends an attempt, and leases what is in line for the worker that is free now; what time alone causes is left to claim and tick.
-- ARGV: 3–14 as settle, 15… as claim from 3 on
-- Returns what settle does, and behind it what claim does
-- Cost: O(max × log jobs of the queue)
local it = look(15, paused(), 0)
local reply = settle()
reply[3] = { {}, lease(it), it.held and 1 or 0 }
return reply
