#!lua flags=allow-oom
-- Which workers are attached to this broker, in place of what it said before; and what others said is over goes.
-- KEYS: 1 brokers by when what they said is over 2 what they said
-- ARGV: 3 valid for (ms) 4 what it says
-- Returns nothing
-- Cost: O(brokers that are over × log brokers). Both keys go by themselves once no broker is left.
local function verb()
  local said_till, said = unpack(KEYS)
  local valid = tonumber(ARGV[3])
  for _, broker in ipairs(call('ZRANGEBYSCORE', said_till, '-inf', int(NOW))) do
    call('ZREM', said_till, broker)
    call('HDEL', said, broker)
  end
  call('ZADD', said_till, NOW + valid, ME)
  call('HSET', said, ME, ARGV[4])
  for _, key in ipairs(KEYS) do
    call('PEXPIRE', key, math.max(valid, call('PTTL', key)))
  end
end
