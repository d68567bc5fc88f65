#!lua flags=no-writes
-- What brokers said of their workers, as far as it is valid.
-- KEYS: as announce
-- ARGV: none
-- Returns {broker, what it said, …}
-- Cost: O(brokers)
local function verb()
  local said_till, said = unpack(KEYS)
  local answers = {}
  for _, broker in ipairs(call('ZRANGEBYSCORE', said_till, '(' .. int(NOW), '+inf')) do
    answers[#answers + 1] = broker
    answers[#answers + 1] = call('HGET', said, broker) or ''
  end
  return answers
end
