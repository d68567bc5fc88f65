-- Handing out jobs in two steps: look reads all that lease may write. ARGV: 3 to 11 of claim.lua.

-- How long a repeat finds what the lane's newest claim got: its number, then a job a line.
local KEEP_CLAIM_MS = 60000

local function claimed(job)
  local id = job.id
  return {
    id, job.attempt, job.maxAttempts, job.fence, job.leaseToken,
    run_left(job),
    job.createTime, job.version, job.cancelRequested, job.envelope,
    call('HGET', JOB .. id, 'p') or '', others(job.watchers),
  }
end

local TOKEN_BYTES = 16
local function token_of(i) return string.sub(ARGV[11], (i - 1) * TOKEN_BYTES + 1, i * TOKEN_BYTES) end

-- `more` may leave the line before it is leased from.
local function look(held, more)
  local number, max, max_bytes, lease = unpack(ARGV, 5, 8)
  local owner = ME .. '.' .. ARGV[3]
  local key = QUEUE .. 'c:' .. owner
  local before = call('GET', key) or '-1'
  local newest = tonumber(string.match(before, '^[^\n]+'))
  local it = {
    key = key, holder = owner, number = number, worker = ARGV[4], max = max, max_bytes = max_bytes,
    lease = lease, held = held, anew = number > newest, before = {},
  }
  if it.anew and not held then
    flush_index(QUEUED)
    for _, in_line in ipairs(call('ZRANGE', QUEUED, 0, it.max + more - 1)) do load(in_line) end
  elseif number == newest then
    for line in string.gmatch(before, '[^\n]+') do it.before[#it.before + 1] = line end
    for i = 2, #it.before do load(it.before[i]) end
  end
  return it
end

-- What a repeat still holds of what the claim got.
local function taken_before(it)
  local jobs = {}
  for i = 2, #it.before do
    local job = leased(it.before[i], token_of(i - 1))
    if job then jobs[#jobs + 1] = claimed(job) end
  end
  return jobs
end

-- Those in line that were looked at, best first.
local function in_line()
  local best = {}
  for id, job in pairs(loaded) do
    if not job then
      forget(id)
    elseif job.state == 'queued' then
      best[#best + 1] = job
    end
  end
  table.sort(best, function(a, b) return a.score < b.score end)
  return best
end

local function lease_best(it)
  local best, jobs, bytes, ids = in_line(), {}, 0, { int(it.number) }
  for i = 1, it.held and 0 or math.min(it.max, #best) do
    local job = best[i]
    bytes = bytes + job.payloadBytes
    if i > 1 and bytes > it.max_bytes then break end
    claim(job, token_of(i), it.lease, it.holder, it.worker)
    save(job)
    jobs[i], ids[i + 1] = claimed(job), job.id
  end
  if #jobs > 0 then call('SET', it.key, table.concat(ids, '\n'), 'PX', KEEP_CLAIM_MS) end
  return jobs
end

-- With less to give than was asked for, the next job of the queue is this broker's.
local function keep_hungry(hungry)
  if not hungry then return call('ZREM', HUNGRY, ME) end
  local added = call('ZADD', HUNGRY, int(NOW_US), ME)
  if added == 1 then call('ZREMRANGEBYRANK', HUNGRY, 0, -65) end
end

local function lease(it)
  if not it.anew then return taken_before(it) end
  local jobs = lease_best(it)
  keep_hungry(#jobs < it.max)
  return jobs
end
