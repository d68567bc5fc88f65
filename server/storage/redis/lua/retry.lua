#!lua flags=allow-oom
-- FAILED or CANCELLED: a new run with the stored payload. In flight: unchanged.
-- ARGV: 3 hungryHere 4 job 5 the state it must be in ("": any)
-- Returns {"ok", changed}, {"succeeded"}, {"other_state"}, or nil
-- Cost: O(log jobs of the queue)
local function verb()
  local job = find(ARGV[4])
  if not job then return false end
  if ARGV[5] ~= '' and job.state ~= ARGV[5] then return { 'other_state' } end
  if job.state == 'succeeded' then return { 'succeeded' } end
  if not TERMINAL[job.state] then return { 'ok', changed(job, '', '') } end
  drop_traces(ARGV[4])
  retry(job, next_number())
  save(job)
  return { 'ok', changed(job, tell(job, true), wake(job, ARGV[3])) }
end
