#!lua flags=allow-oom
-- Ends an attempt. Only the current token can; repeating the accepted one is a duplicate.
-- ARGV: 3 hungryHere 4 job 5 token 6 jitter 7 "completed" | "failed" | "released" | "cancelled" | "undelivered"
--       8 blob of the outcome 9 message for the history 10 failure kind 11 retryable, and as unavailable 12 retry_after ("": back-off)
--       13 sent 14 lane
-- Returns {"settled" | "duplicate", changed} or {"lost", null}; the result of this very call is not sent back
-- Cost: O(log jobs of the queue)
local function verb()
  return settle(3)
end
