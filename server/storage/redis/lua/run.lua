-- Every call: one verb, or some, one after the other, as if each had come by itself, but that the clock is read once, and
-- that what those of one queue move in its indexes is written once.
-- KEYS: of one queue after the other
-- ARGV: 1 and 2 as ever, 3 how many KEYS each queue has; then of each queue the number of its verbs; then of each verb one
-- text: its name, nothing, and its ARGV from 3 on, packed (MessagePack)
-- Returns, packed, {the answer of each, {number and message of each that failed}}
local function run(keys, argv)
  begin(keys, argv)
  local answers, errors, done = {}, {}, 0
  local function failed(n, reply)
    answers[n] = false
    errors[#errors + 1], errors[#errors + 2] = n - 1, reply.err .. (reply.line and ' user_function:' .. reply.line or '')
  end
  local each = tonumber(argv[3])
  local queues = #keys / each
  for queue = 1, queues do
    about(1 + (queue - 1) * each, each)
    local before = done
    for _ = 1, tonumber(argv[3 + queue]) do
      ARGV = { cmsgpack.unpack(argv[4 + queues + done]) }
      local answer = reply_of(verbs[ARGV[1]]) or false
      done = done + 1
      answers[done] = answer
      if type(answer) == 'table' and answer.err then failed(done, answer) end
    end
    -- What is wrong with the keys of one queue is no harm to another.
    local written = reply_of(flush)
    if written then
      for n = before + 1, done do failed(n, written) end
    end
  end
  return cmsgpack.pack({ answers, errors })
end
