#!lua
-- Remembers a service: its methods are added to those known. Without allow-oom: a full Redis refuses it before it starts.
-- KEYS: 1 names of the services 2 what is kept of this one: keys.ts
-- ARGV: 3 name 4 most services 5 most methods 6 descriptor set ("": as it is) 7… methods
-- Returns 1, or 0 where there is no room
-- Cost: O(methods)
local function verb()
  local names, kept = unpack(KEYS)
  local name, most, most_methods, descriptors = unpack(ARGV, 3, 6)

  if call('SISMEMBER', names, name) == 0 and call('SCARD', names) >= tonumber(most) then return 0 end
  local added = 0
  for i = 7, #ARGV do
    if call('HEXISTS', kept, ARGV[i]) == 0 then added = added + 1 end
  end
  if call('HLEN', kept) - call('HEXISTS', kept, 'descriptors') + added > tonumber(most_methods) then return 0 end

  call('SADD', names, name)
  for i = 7, #ARGV do call('HSET', kept, ARGV[i], 1) end
  if descriptors ~= '' then call('HSET', kept, 'descriptors', descriptors) end
  return 1
end
