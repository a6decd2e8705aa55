#!lua flags=allow-oom
-- Begins a restore, or goes on with it: notes how far it is. Only the call that began last may go on, and each may write only for a while after its last word here.
-- Durable.
--
-- KEYS     how far the restore is
-- ARGV[1]  names the call that restores
-- ARGV[2]  'begin', 'anew' (whatever is written), 'note' or 'end'
-- ARGV[3]  'begin', 'anew': what is restored; 'note', 'end': how many entries are written
-- Returns  {'ok', how many entries are written, the run: names all that was written since the restore began at its start, until when the call may write, µs (0: it may not), for how long another one still
--          may, µs: the call waits for so long, and notes then that it goes on};
--          {'other'}: under this id something else was restored; {'lost'}: another call goes on with it; {'gone'}: nothing is known of it any more

-- include part_numbers.lua
--   progress  hash: 'call' → ARGV[1]; 'what' → what is restored; 'written' → how many entries are; 'run' → the call that began it at its start; 'until' → when no call may write any more, µs
local progress, call, step, what = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local WRITE = 3000000           -- µs
local KEPT = 7 * 24 * 3600      -- s
local KEPT_AFTER_ITS_END = 120  -- s

local others_write = 0
if step == 'begin' or step == 'anew' then
  local before = redis.call('HMGET', progress, 'what', 'until')
  local is_new = step == 'anew' or not before[1]
  if not is_new and before[1] ~= what then return {'other'} end
  others_write = math.max(0, (tonumber(before[2]) or 0) - now_us)
  redis.call('HSET', progress, 'call', call)
  if is_new then redis.call('HSET', progress, 'what', what, 'written', 0, 'run', call) end
else
  local at_it = redis.call('HGET', progress, 'call')
  if not at_it then return {'gone'} end
  if at_it ~= call then return {'lost'} end
  redis.call('HSET', progress, 'written', what)
end
local may_until = (step == 'end' or others_write > 0) and 0 or now_us + WRITE
if others_write == 0 then redis.call('HSET', progress, 'until', int(may_until)) end
redis.call('EXPIRE', progress, step == 'end' and KEPT_AFTER_ITS_END or KEPT)
local is = redis.call('HMGET', progress, 'written', 'run')
return {'ok', is[1], is[2], int(may_until), int(others_write)}
