#!lua flags=allow-oom
-- Takes a name off the list, unless somebody said of late that it is in use.
-- KEYS: as name
-- ARGV: 3 queue 4 how long ago at least (ms)
-- Returns 1 if it is not on the list now
-- Cost: O(log names)
local function verb()
  local names = unpack(KEYS)
  local said = tonumber(call('ZSCORE', names, ARGV[3]) or 0)
  if said > NOW - tonumber(ARGV[4]) then return 0 end
  call('ZREM', names, ARGV[3])
  return 1
end
