#!lua flags=allow-oom
-- Names a queue, or says that its name is still in use. Of the list of names, not of a queue.
-- KEYS: 1 names, by when they were last said to be in use
-- ARGV: 3 queue
-- Returns nothing
-- Cost: O(log names)
local function verb()
  local names = unpack(KEYS)
  call('ZADD', names, NOW, ARGV[3])
end
