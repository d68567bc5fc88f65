-- In front of every script: one clock, the record of a job, and its place in the indexes.
-- KEYS, of every script: the fixed keys of one queue, in the order of keys.ts. The keys of a job
-- are built from the first of them, so they are in the same slot; load() reads them before any write.
-- ARGV, of every script: 1 clock offset (ms; 0 but in tests), 2 this broker. The rest is the script's.
-- Numbers are doubles, whole and below 2^53: microseconds since 1970 fit until the year 2255. redis.call writes them out
-- in full; where a script makes text of one, int() does.
local META, SCHEDULED, QUEUED, RUNNING, FINISHED, START_BY, HUNGRY = unpack(KEYS)
local QUEUE = string.sub(META, 1, -2)
local call = redis.call
local ME = ARGV[2]

local time = call('TIME')
local NOW_US = tonumber(time[1]) * 1000000 + tonumber(time[2]) + tonumber(ARGV[1]) * 1000
local NOW = math.floor(NOW_US / 1000)

-- Redis collects a finished job this long after its time, in case no broker did. Milliseconds.
local COLLECT_AFTER = 60000
local MAX_PER_KIND = 100
local MAX_LISTENERS = 16
local MAX_ATTEMPTS_KEPT = 10

-- What the record says where a field is absent: only what is not ordinary is stored, so that the hash stays small. Fields
-- are those of JobRecord; tokens, ids of requests and digests are bytes, lists are text.
local ABSENT = {
  state = '', version = 0, attempt = 0, maxAttempts = 3, crashes = 0, priority = 0, seq = 0,
  createTime = 0, startTime = 0, endTime = 0, expireTime = 0, dueTime = 0,
  runTimeoutMs = 0, startTimeoutMs = 0, resultTtlMs = 3600000, backoff = '100,2,30000',
  fence = 0, leaseToken = '', leaseUntil = 0, runUntil = 0, owner = '', workerId = '', settledToken = '',
  cancelRequested = 0, requestId = '', joinedBy = '', digest = '', failureKind = '',
  waiters = '', watchers = '', envelope = 0, -- bytes of it
}
local TERMINAL = { succeeded = true, failed = true, cancelled = true }

local function int(number)
  return string.format('%.0f', number)
end

-- Keys of a job, but for its id.
local RECORD, PROGRESS, HISTORY = QUEUE .. 'j:', QUEUE .. 'g:', QUEUE .. 'h:'
local PAYLOAD = QUEUE .. 'p:' -- envelope, then payload
local OUTCOME = QUEUE .. 'o:' -- result, or failure detail

-- The one index that a job of this state is in, and its score there.
local function place(job)
  if job.state == 'scheduled' then return SCHEDULED, job.dueTime end
  if job.state == 'queued' then return QUEUED, job.seq - job.priority * 4398046511104 end
  if job.state == 'running' then return RUNNING, job.leaseUntil end
  if TERMINAL[job.state] then return FINISHED, job.expireTime end
end

-- The jobs that ended so, by when: for lists. When they are forgotten is in FINISHED.
local function ended_index(state) return QUEUE .. 'e:' .. state end
local function ended(job)
  if TERMINAL[job.state] then return ended_index(job.state), job.endTime end
end

-- When a job that was never started fails; 0 where it cannot.
local function start_by(job)
  local waiting = job.state == 'queued' or job.state == 'scheduled'
  if waiting and job.startTime == 0 and job.startTimeoutMs > 0 then return job.createTime + job.startTimeoutMs end
  return 0
end

-- What is known of each job beside its record: its id, the record as it is stored, its index, its score there, its start_by;
-- whether all of it is there, and whether it has parts that few have.
local kept, loaded = {}, {}

-- A job is its changes, over the record as it is stored, over ABSENT: what to save is then what is in it.
local STORED = { __index = ABSENT }
local function over(stored)
  return setmetatable({}, { __index = stored })
end

local function decode(id, flat)
  local stored = setmetatable({}, STORED)
  for i = 1, #flat, 2 do
    local name, value = flat[i], flat[i + 1]
    if type(ABSENT[name]) == 'number' then value = tonumber(value) end
    stored[name] = value
  end
  local job = over(stored)
  local index, score = place(job)
  local list, end_time = ended(job)
  kept[job] = {
    id = id, stored = stored, index = index, score = score, start_by = start_by(job), ended = list, end_time = end_time,
    whole = true, extras = false,
  }
  return job
end

-- The record as it is stored, or false. Touches every key of the job: a slot that moves away fails here, before any
-- write. Where a record is missing, a slot that moves has failed at that.
local function load(id)
  local job = loaded[id]
  if job ~= nil then return job end
  local flat = call('HGETALL', RECORD .. id)
  job = #flat > 0 and decode(id, flat)
  if job then
    local parts = call('EXISTS', PAYLOAD .. id, OUTCOME .. id, PROGRESS .. id, HISTORY .. id)
    -- A payload is never empty: it carries its types. A part that is missing was evicted, or deleted by hand.
    local whole = parts > 0
    if TERMINAL[job.state] then
      whole = call('EXISTS', (job.state == 'succeeded' and OUTCOME or PAYLOAD) .. id) == 1
    end
    kept[job].whole, kept[job].extras = whole, parts > 1
  end
  loaded[id] = job
  return job
end

-- The job, unless its time is over: then it is as good as absent, whether or not it is collected yet.
local function find(id)
  local job = load(id)
  if job and kept[job].whole and not (TERMINAL[job.state] and job.expireTime <= NOW) then return job end
end

-- The job, if that token is its current one; also past the lease's end, until it is reaped.
local function leased(id, token)
  local job = find(id)
  if job and job.state == 'running' and job.leaseToken == token then return job end
end

-- A job that takes the place of `previous` (or of nothing), and inherits nothing.
local function fresh(id, previous)
  local was = previous and kept[previous] or { id = id, stored = setmetatable({}, STORED), start_by = 0 }
  local job = over(was.stored)
  for name in pairs(was.stored) do job[name] = ABSENT[name] end
  kept[job] = was
  return job
end

local function save_record(id, job, stored)
  -- Of the size that most need: a table that grows costs more than all else here.
  local set, sets = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 0
  local del, dels = { 0, 0, 0, 0, 0, 0, 0, 0 }, 0
  for name, value in pairs(job) do
    if value ~= stored[name] then
      if value == ABSENT[name] then
        dels = dels + 1
        del[dels], stored[name] = name, nil
      else
        set[sets + 1], set[sets + 2] = name, value
        sets, stored[name] = sets + 2, value
      end
    end
  end
  if sets > 0 then call('HSET', RECORD .. id, unpack(set, 1, sets)) end
  if dels > 0 then call('HDEL', RECORD .. id, unpack(del, 1, dels)) end
end

-- A finished job and its parts end by themselves, in case nobody collects them. A job that lives again does not.
local function save_lifetime(job, was, index, score)
  local id = was.id
  if index == FINISHED and (was.index ~= index or was.score ~= score) then
    local left = score - NOW + COLLECT_AFTER
    call('PEXPIRE', RECORD .. id, left)
    call('PEXPIRE', OUTCOME .. id, left)
    if job.state ~= 'succeeded' or job.envelope > 0 then call('PEXPIRE', PAYLOAD .. id, left) end
    if was.extras then
      call('PEXPIRE', PROGRESS .. id, left)
      call('PEXPIRE', HISTORY .. id, left)
    end
  elseif index ~= FINISHED and was.index == FINISHED then
    call('PERSIST', RECORD .. id)
    call('PERSIST', PAYLOAD .. id)
  end
end

-- Bytes of the queue's unfinished jobs: decisions/0009.
local function weigh(id, sign)
  local bytes = call('STRLEN', PAYLOAD .. id)
  if bytes > 0 then call('HINCRBY', META, 'b', sign * bytes) end
end

local function bytes_held() return math.max(0, tonumber(call('HGET', META, 'b') or 0)) end

-- Stores the record, and all that follows from it: its index, its time to live. Blobs must be there already, a payload still.
local function save(job)
  local was = kept[job]
  local id = was.id
  save_record(id, job, was.stored)
  local index, score = place(job)
  save_lifetime(job, was, index, score)
  local waited, waits = was.index and was.index ~= FINISHED, index ~= FINISHED
  if waited ~= waits then weigh(id, waits and 1 or -1) end
  if was.index and was.index ~= index then call('ZREM', was.index, id) end
  if was.index ~= index or was.score ~= score then call('ZADD', index, score, id) end
  local deadline = start_by(job)
  if deadline == 0 and was.start_by ~= 0 then call('ZREM', START_BY, id) end
  if deadline ~= 0 and deadline ~= was.start_by then call('ZADD', START_BY, deadline, id) end
  local list, end_time = ended(job)
  if was.ended and was.ended ~= list then call('ZREM', was.ended, id) end
  if list and (was.ended ~= list or was.end_time ~= end_time) then call('ZADD', list, end_time, id) end
  was.index, was.score, was.start_by, was.ended, was.end_time = index, score, deadline, list, end_time
end

-- A try that failed: number, time, length of the worker's name, the name, the message.
local function log_attempt(job, message)
  local id = kept[job].id
  local entry = table.concat({ int(job.attempt), int(NOW), #job.workerId, job.workerId .. message }, ',')
  call('RPUSH', HISTORY .. id, entry)
  call('LTRIM', HISTORY .. id, -MAX_ATTEMPTS_KEPT, -1)
  kept[job].extras = true
end

-- Everything of a job, and whatever index still names it.
local function forget(id)
  local unfinished = call('ZREM', SCHEDULED, id) + call('ZREM', QUEUED, id) + call('ZREM', RUNNING, id)
  if unfinished > 0 then weigh(id, -1) end
  call('DEL', RECORD .. id, PAYLOAD .. id, OUTCOME .. id, PROGRESS .. id, HISTORY .. id)
  call('ZREM', FINISHED, id)
  call('ZREM', START_BY, id)
  for state in pairs(TERMINAL) do call('ZREM', ended_index(state), id) end
end

-- What the previous run left behind.
local function drop_traces(id)
  call('DEL', OUTCOME .. id, PROGRESS .. id, HISTORY .. id)
end

-- Adds this broker to a bounded list, newest last.
local function listen(job, list)
  if list == '' then return end
  local names = {}
  for name in string.gmatch(job[list], '[^,]+') do
    if name == ME then return end
    names[#names + 1] = name
  end
  names[#names + 1] = ME
  job[list] = table.concat(names, ',', math.max(1, #names - MAX_LISTENERS + 1))
end

-- The other brokers of those lists, each once.
local function others(...)
  local seen, names = { [ME] = true }, {}
  for _, list in ipairs({ ... }) do
    for name in string.gmatch(list, '[^,]+') do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  return table.concat(names, ',')
end

-- Whom a change concerns: its end, and a new run, also those that only wait.
local function tell(job, new_run)
  if new_run or TERMINAL[job.state] then return others(job.waiters, job.watchers) end
  return others(job.watchers)
end

local function paused() return call('HEXISTS', META, 'p') == 1 end

-- Takes one other broker off the list of the hungry, where the job waits for one. Newest first: it is the likeliest to live.
local function wake(job, hungry_here)
  if job.state ~= 'queued' or hungry_here == '1' or paused() then return '' end
  for _, broker in ipairs(call('ZREVRANGE', HUNGRY, 0, 1)) do
    if broker ~= ME then
      call('ZREM', HUNGRY, broker)
      return broker
    end
  end
  return ''
end

-- JobStatus: id, state, version, attempt, cancelRequested, blob of the outcome; of a failure also record and history.
-- `without`: the caller brought the result, and need not be sent it.
local function short(job, without)
  local id = kept[job].id
  local status = { id, job.state, job.version, job.attempt, job.cancelRequested }
  if not TERMINAL[job.state] or without then return status end
  status[6] = call('GET', OUTCOME .. id)
  if job.state ~= 'succeeded' then
    status[7] = call('HGETALL', RECORD .. id)
    status[8] = call('LRANGE', HISTORY .. id, 0, -1)
  end
  return status
end

-- Changed: status, tell, wake, tickInMs (0: none).
local function changed(job, told, woken, without)
  local due, deadline = job.dueTime, start_by(job)
  if due == 0 or (deadline > 0 and deadline < due) then due = deadline end
  return { short(job, without), told, woken, due > 0 and math.max(1, due - NOW) or 0 }
end

-- Job: status, record, envelope, report of progress.
local function whole_of(job)
  local id = kept[job].id
  local envelope = job.envelope > 0 and call('GETRANGE', PAYLOAD .. id, 0, job.envelope - 1) or ''
  return { short(job), call('HGETALL', RECORD .. id), envelope, call('GET', PROGRESS .. id) }
end
