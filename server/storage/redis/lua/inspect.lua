#!lua flags=no-writes
-- Everything that is kept of jobs, as it is: for tests and fsck.
-- ARGV: 3… jobs, at most 100
-- Returns of each job {record, payload or result, failure detail, report of progress, history}, nil for what is not there
-- Cost: O(jobs)
local function verb()
  local answers = {}
  for i = 3, #ARGV do
    local reply = redis.pcall('HMGET', JOB .. ARGV[i], 'r', 'p', 'o', 'g', 'h')
    if reply.err then reply = {} end -- something else is in that key
    if reply[1] then reply[1] = fields(reply[1]) end
    answers[i - 2] = reply
  end
  return answers
end
