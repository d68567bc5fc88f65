-- Verbs of one queue in one call, one after the other: as if each had come by itself, but that the clock is read once,
-- and that what all of them move in the indexes is written once. Two functions, since enqueue is refused by a full Redis.
-- ARGV: 1 and 2 as ever, then of each verb: its function, how many arguments, and those: its ARGV from 3 on
-- Returns the answer of each, or its error
local function together(keys, argv)
  begin(keys, argv)
  local answers, at = {}, 3
  while at <= #argv do
    local last = at + 1 + tonumber(argv[at + 1])
    ARGV = { argv[1], argv[2], unpack(argv, at + 2, last) }
    answers[#answers + 1] = reply_of(verbs[argv[at]]) or false
    at = last + 1
  end
  flush()
  return answers
end
