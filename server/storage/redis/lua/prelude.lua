-- In front of every verb: one clock, the record of a job, and its place in the indexes. Made once, when the library is loaded;
-- begin() and about() say of each call what it is about.
-- KEYS, of every verb: the fixed keys of its queue, in the order of keys.ts. The keys of a job are built from the first
-- of them, so they are in the same slot; load() reads them before any write.
-- ARGV, of every verb: 1 clock offset (ms; 0 but in tests), 2 this broker. The rest is the verb's.
-- Numbers are doubles, whole and below 2^53: microseconds since 1970 fit until the year 2255. redis.call writes them out
-- in full; where a script makes text of one, int() does.
local KEYS, ARGV, call
local META, SCHEDULED, QUEUED, RUNNING, FINISHED, START_BY, HUNGRY
local QUEUE, ME, NOW_US, NOW

-- All of a job is in one hash: this, and its id. Its fields: r record; p payload, or the result of a job that succeeded;
-- o what the worker said of a failure; g report of progress; h tries that failed.
local JOB

-- The jobs that this call has looked at, by id; false for one that is not there.
local loaded

-- What is written once, behind the last verb: moves within the indexes, by index and job; and what is counted of the
-- queue: number of the newest job, bytes held, whether it is paused. What is read once: jobs in line, hungry brokers.
local moves, counted, numbered, weight, queued, hungry

local function begin(keys, argv)
  KEYS, call = keys, redis.call
  ME = argv[2]
  local time = call('TIME')
  NOW_US = tonumber(time[1]) * 1000000 + tonumber(time[2])
  if argv[1] ~= '0' then NOW_US = NOW_US + tonumber(argv[1]) * 1000 end
  NOW = math.floor(NOW_US / 1000)
end

-- The queue that the next verbs are about: its keys are those from `first` on.
local function about(first, each)
  META, SCHEDULED, QUEUED, RUNNING, FINISHED, START_BY, HUNGRY = unpack(KEYS, first, first + each - 1)
  QUEUE = string.sub(META, 1, -2)
  JOB = QUEUE .. 'j:'
  loaded = {}
  moves, counted, numbered, weight, queued, hungry = {}, nil, 0, 0, nil, nil
end

local function int(number)
  return string.format('%d', number)
end

local function flush_index(index)
  local jobs, into, out = moves[index], {}, {}
  if not jobs then return end
  moves[index] = nil
  for id, score in pairs(jobs) do
    if score then
      into[#into + 1], into[#into + 2] = score, id
    else
      out[#out + 1] = id
    end
  end
  if #into > 0 then call('ZADD', index, unpack(into)) end
  if #out > 0 then call('ZREM', index, unpack(out)) end
end

local function flush_counts()
  if counted and (numbered > 0 or weight ~= 0) then
    counted.n, counted.b = counted.n + numbered, counted.b + weight
    call('HSET', META, 'n', int(counted.n), 'b', int(counted.b))
  elseif weight ~= 0 then
    call('HINCRBY', META, 'b', int(weight))
  end
  numbered, weight = 0, 0
end

-- At the end, and in front of whatever reads more than one index; of one, flush_index is enough.
local function flush()
  for index in pairs(moves) do flush_index(index) end
  flush_counts()
end

-- The reply of a verb. One that fails is an error of its own: what it had stored by then is still to be written whole.
local function reply_of(verb)
  local done, reply = pcall(verb)
  if not done and type(reply) ~= 'table' then reply = { err = reply } end
  return reply
end

-- Redis collects a finished job this long after its time, in case no broker did. Milliseconds.
local COLLECT_AFTER = 60000
local MAX_PER_KIND = 100
local MAX_LISTENERS = 16
local MAX_ATTEMPTS_KEPT = 10

local TERMINAL = { succeeded = true, failed = true, cancelled = true }

-- A job is an array, for a table with names costs several times as much to make and to read. `job.state` is its ninth
-- element or so: scripts.ts puts the numbers. First what only this call knows of it: its id, the record as it is stored,
-- and where it is as long as its changes are not saved. Then, from FIRST to LAST, the record: the fields of record.ts,
-- stored in MessagePack. Tokens, ids of requests and digests are bytes, lists are text.
local function known(id, stored, ...)
  return { id, stored, false, 0, 0, false, 0, ... }
end

local function blank(id)
  return known(id, false, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', 0, '', 0, 0, '', '', '', 0, '', '', '', '', '', '', 0, '')
end

local function encode(job) return cmsgpack.pack(unpack(job, FIRST, LAST)) end

-- How a record travels.
local function fields(packed)
  return { cmsgpack.unpack(packed) }
end
local function fields_of(job)
  return { unpack(job, FIRST, LAST) }
end

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

-- The record as it is stored, or false. A slot that moves away fails here, before any write.
local function load(id)
  local job = loaded[id]
  if job ~= nil then return job end
  local stored = call('HGET', JOB .. id, 'r')
  job = stored and known(id, stored, cmsgpack.unpack(stored))
  if job then
    job.index, job.score = place(job)
    job.start_by, job.list, job.list_score = start_by(job), ended(job)
  end
  loaded[id] = job
  return job
end

-- The job, unless its time is over: then it is as good as absent, whether or not it is collected yet.
local function find(id)
  local job = load(id)
  if job and not (TERMINAL[job.state] and job.expireTime <= NOW) then return job end
end

-- The job, if that token is its current one; also past the lease's end, until it is reaped.
local function leased(id, token)
  local job = find(id)
  if job and job.state == 'running' and job.leaseToken == token then return job end
end

-- A job that takes the place of what is stored, and inherits nothing.
local function fresh(id)
  local previous, job = load(id), blank(id)
  if previous then
    call('DEL', JOB .. id)
    job.index, job.score, job.start_by = previous.index, previous.score, previous.start_by
    job.list, job.list_score = previous.list, previous.list_score
  end
  loaded[id] = job
  return job
end

-- Bytes of the queue's unfinished jobs: decisions/0009.
local function weigh(job, sign)
  weight = weight + sign * (#job.envelope + job.payloadBytes)
end

local function count_of_queue()
  if not counted then
    local n, b, p = unpack(call('HMGET', META, 'n', 'b', 'p'))
    counted = { n = tonumber(n or 0), b = tonumber(b or 0), p = p ~= false }
  end
  return counted
end

-- The number of a new job: its place in line.
local function next_number()
  local newest = count_of_queue().n
  numbered = numbered + 1
  return newest + numbered
end

local function unfinished()
  for _, index in ipairs({ SCHEDULED, QUEUED, RUNNING }) do flush_index(index) end
  return call('ZCARD', SCHEDULED) + call('ZCARD', QUEUED) + call('ZCARD', RUNNING)
end
local function bytes_held() return math.max(0, count_of_queue().b + weight) end
local function paused() return count_of_queue().p end
local function line_length()
  if not queued then
    flush_index(QUEUED)
    queued = call('ZCARD', QUEUED)
  end
  return queued
end

-- Into an index, to another place in it, or out of it.
local function put(index, id, score)
  moves[index] = moves[index] or {}
  moves[index][id] = score
end

-- From one index to another, or to another place in the same.
local function move(id, from, from_score, to, score)
  if queued and from ~= to then queued = queued + (to == QUEUED and 1 or 0) - (from == QUEUED and 1 or 0) end
  if from and from ~= to then put(from, id, false) end
  if to and (from ~= to or from_score ~= score) then put(to, id, score) end
end

-- A finished job ends by itself, in case nobody collects it. A job that lives again does not.
local function save_lifetime(job, index, score)
  if index == FINISHED and (job.index ~= index or job.score ~= score) then
    call('PEXPIRE', JOB .. job.id, score - NOW + COLLECT_AFTER)
  elseif index ~= FINISHED and job.index == FINISHED then
    call('PERSIST', JOB .. job.id)
  end
end

-- Stores the record, with other fields of the job, and all that follows from it: its index, its time to live.
local function save(job, ...)
  local id, was_in, was_listed, was_to_start = job.id, job.index, job.list, job.start_by
  local stored = encode(job)
  if stored ~= job.stored or ... then call('HSET', JOB .. id, 'r', stored, ...) end
  local index, score = place(job)
  save_lifetime(job, index, score)
  local waited, waits = was_in and was_in ~= FINISHED, index ~= FINISHED
  if waited ~= waits then weigh(job, waits and 1 or -1) end
  move(id, was_in, job.score, index, score)
  local to_start = start_by(job)
  if to_start == 0 and was_to_start ~= 0 then call('ZREM', START_BY, id) end
  if to_start ~= 0 and to_start ~= was_to_start then call('ZADD', START_BY, to_start, id) end
  local list, list_score = ended(job)
  move(id, was_listed, job.list_score, list, list_score)
  job.stored, job.index, job.score, job.start_by, job.list, job.list_score = stored, index, score, to_start, list, list_score
end

-- A try that failed: its length, then number, time, length of the worker's name, the name, the message. The newest are kept.
local function log_attempt(job, message)
  local key = JOB .. job.id
  local entry = table.concat({ int(job.attempt), int(NOW), #job.workerId, job.workerId .. message }, ',')
  local log = (call('HGET', key, 'h') or '') .. struct.pack('<I4', #entry) .. entry
  local tries, at = 0, 1
  while at <= #log do
    tries, at = tries + 1, at + 4 + struct.unpack('<I4', log, at)
  end
  if tries > MAX_ATTEMPTS_KEPT then log = string.sub(log, 5 + struct.unpack('<I4', log)) end
  call('HSET', key, 'h', log)
end

-- Everything of a job, and whatever index still names it.
local function forget(id)
  flush()
  local job = load(id)
  queued = nil
  call('DEL', JOB .. id)
  local unfinished = call('ZREM', SCHEDULED, id) + call('ZREM', QUEUED, id) + call('ZREM', RUNNING, id)
  if job and unfinished > 0 then weigh(job, -1) end
  call('ZREM', FINISHED, id)
  call('ZREM', START_BY, id)
  for state in pairs(TERMINAL) do call('ZREM', ended_index(state), id) end
end

-- What the previous run left behind.
local function drop_traces(id)
  call('HDEL', JOB .. id, 'o', 'g', 'h')
end

-- This broker on a bounded list, newest last.
local function listed(list)
  local names = {}
  for name in string.gmatch(list, '[^,]+') do
    if name == ME then return list end
    names[#names + 1] = name
  end
  names[#names + 1] = ME
  return table.concat(names, ',', math.max(1, #names - MAX_LISTENERS + 1))
end

local function listen(job, list)
  if list == 'waiters' then job.waiters = listed(job.waiters) end
  if list == 'watchers' then job.watchers = listed(job.watchers) end
end

-- The other brokers of those lists, each once.
local function others(...)
  local seen, names
  for i = 1, select('#', ...) do
    local list = select(i, ...)
    if list ~= '' and list ~= ME then
      seen, names = seen or { [ME] = true }, names or {}
      for name in string.gmatch(list, '[^,]+') do
        if not seen[name] then names[#names + 1] = name end
        seen[name] = true
      end
    end
  end
  return names and table.concat(names, ',') or ''
end

-- Whom a change concerns: its end, and a new run, also those that only wait.
local function tell(job, new_run)
  if new_run or TERMINAL[job.state] then return others(job.waiters, job.watchers) end
  return others(job.watchers)
end

-- Takes one other broker off the list of the hungry, where the job waits for one. Newest first: it is the likeliest to live.
local function wake(job, hungry_here)
  if job.state ~= 'queued' or hungry_here == '1' or paused() then return '' end
  hungry = hungry or call('ZREVRANGE', HUNGRY, 0, -1)
  while #hungry > 0 do
    local broker = table.remove(hungry, 1)
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
  local id = job.id
  local status = { id, job.state, job.version, job.attempt, job.cancelRequested }
  if not TERMINAL[job.state] or without then return status end
  if job.state == 'succeeded' then
    status[6] = call('HGET', JOB .. id, 'p')
  else
    local detail, history = unpack(call('HMGET', JOB .. id, 'o', 'h'))
    status[6], status[7], status[8] = detail, fields_of(job), history
  end
  return status
end

-- Changed: status, tell, wake, tickInMs (0: none).
local function changed(job, told, woken, without)
  local due, deadline = job.dueTime, start_by(job)
  if due == 0 or (deadline > 0 and deadline < due) then due = deadline end
  return { short(job, without), told, woken, due > 0 and math.max(1, due - NOW) or 0 }
end

-- Job: status, record, report of progress.
local function whole_of(job)
  return { short(job), fields_of(job), call('HGET', JOB .. job.id, 'g') }
end
