#!lua flags=allow-oom
-- Holds the queue, or hands out jobs again.
-- ARGV: 3 "1" to pause it, "0" to resume it
-- Returns the other brokers that found nothing in it: for those to tell of a resumed queue
-- Cost: O(1)
local function verb()
  if ARGV[3] == '1' then
    call('HSET', META, 'p', 1)
    return ''
  end
  call('HDEL', META, 'p')
  return others(table.concat(call('ZRANGE', HUNGRY, 0, -1), ','))
end
