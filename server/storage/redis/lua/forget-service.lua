#!lua flags=allow-oom
-- Forgets a service.
-- KEYS: as add-service
-- ARGV: 1 name
-- Returns 1
-- Cost: O(methods)
local names, kept = unpack(KEYS)
redis.call('SREM', names, ARGV[1])
redis.call('DEL', kept)
return 1
