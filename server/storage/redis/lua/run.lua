-- Every call: one verb, or some of one queue, one after the other, as if each had come by itself, but that the clock is
-- read once, and that what all of them move in the indexes is written once.
-- ARGV: 1 and 2 as ever, then of each verb one text: its name, nothing, and its ARGV from 3 on, packed (MessagePack)
-- Returns, packed, {the answer of each, {number and message of each that failed}}
local function run(keys, argv)
  begin(keys, argv)
  local answers, errors = {}, {}
  for i = 3, #argv do
    ARGV = { cmsgpack.unpack(argv[i]) }
    local answer = reply_of(verbs[ARGV[1]]) or false
    if type(answer) == 'table' and answer.err then
      errors[#errors + 1], errors[#errors + 2] = i - 3, answer.err .. (answer.line and ' user_function:' .. answer.line or '')
      answer = false
    end
    answers[i - 2] = answer
  end
  flush()
  return cmsgpack.pack({ answers, errors })
end
