#!lua flags=allow-oom
-- Forgets a service.
-- KEYS: as add-service
-- ARGV: 3 name
-- Returns 1
-- Cost: O(methods)
local function verb()
  local names, kept = unpack(KEYS)
  call('SREM', names, ARGV[3])
  call('DEL', kept)
  return 1
end
