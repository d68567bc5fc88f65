#!lua flags=no-writes
-- Everything that is kept of jobs, as it is: for tests and fsck.
-- ARGV: 3… jobs, at most 100
-- Returns of each job {record or nil, envelope and payload or nil, outcome or nil, report of progress or nil, history}
-- Cost: O(jobs)
local answers = {}

-- Nil where something else is in that key.
local function read(...)
  local reply = redis.pcall(...)
  return not (type(reply) == 'table' and reply.err) and reply
end
for i = 3, #ARGV do
  local id = ARGV[i]
  answers[i - 2] = {
    read('HGETALL', RECORD .. id), read('GET', PAYLOAD .. id), read('GET', OUTCOME .. id),
    read('GET', PROGRESS .. id), read('LRANGE', HISTORY .. id, 0, -1) or {},
  }
end
return answers
