#!lua flags=no-writes
-- A page of the jobs of one state, the last of their index first. It goes on where the one before ended, also when that
-- job has gone: equal scores are in the order of the bytes of their ids.
-- ARGV: 3 state 4 limit, at most 100 5 score and 6 id that the page before ended with ("": none)
-- Returns {{id, record}[], score and id that this page ended with, or "" and "" at the end}
-- Cost: O(limit + log² jobs of the queue)
local function verb()
  local state, limit, last_score, last_id = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
  local index = ({ scheduled = SCHEDULED, queued = QUEUED, running = RUNNING })[state] or ended_index(state)

  -- Not by "<": that goes by the server's locale.
  local function less(a, b)
    for i = 1, math.min(#a, #b) do
      local x, y = string.byte(a, i), string.byte(b, i)
      if x ~= y then return x < y end
    end
    return #a < #b
  end

  local function is_behind(rank)
    local entry = call('ZREVRANGE', index, rank, rank, 'WITHSCORES')
    local score = tonumber(entry[2])
    return score < last_score or (score == last_score and less(entry[1], last_id))
  end

  local size = call('ZCARD', index)
  local first, beyond = 0, last_score and size or 0
  while first < beyond do
    local middle = math.floor((first + beyond) / 2)
    if is_behind(middle) then beyond = middle else first = middle + 1 end
  end

  local entries, jobs = call('ZREVRANGE', index, first, first + limit - 1, 'WITHSCORES'), {}
  for i = 1, #entries, 2 do
    local job = find(entries[i])
    if job then jobs[#jobs + 1] = { entries[i], fields_of(job) } end
  end
  if first + limit >= size then return { jobs, '', '' } end
  return { jobs, int(tonumber(entries[#entries])), entries[#entries - 1] }
end
