#!lua flags=no-writes
-- Everything that is kept of jobs, as it is: for tests and fsck.
-- ARGV: 3… jobs, at most 100
-- Returns of each job {record, envelope and payload or nil, outcome or nil, report of progress or nil, history}
-- Cost: O(jobs)
local answers = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  answers[i - 2] = {
    call('HGETALL', RECORD .. id), call('GET', PAYLOAD .. id), call('GET', OUTCOME .. id),
    call('GET', PROGRESS .. id), call('LRANGE', HISTORY .. id, 0, -1),
  }
end
return answers
