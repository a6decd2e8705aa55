#!lua flags=allow-oom
-- Begins a restore, or goes on with it: notes how far it is. Only the call that began last may go on.
--
-- KEYS     how far the restore is
-- ARGV[1]  names the call that restores
-- ARGV[2]  'begin', 'note' or 'end'
-- ARGV[3]  'begin': what is restored; 'note': how many entries are written
-- Returns  {'ok', how many entries are written}; {'other'}: under this id something else was restored; {'lost'}: another call goes on with it

--   progress  hash: 'call' → ARGV[1]; 'what' → what is restored; 'written' → how many entries are
local progress, call, step, what = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local KEPT = 7 * 24 * 3600  -- s

if step == 'begin' then
  local before = redis.call('HGET', progress, 'what')
  if before and before ~= what then return {'other'} end
  redis.call('HSET', progress, 'call', call, 'what', what)
elseif redis.call('HGET', progress, 'call') ~= call then
  return {'lost'}
elseif step == 'note' then
  redis.call('HSET', progress, 'written', what)
end
local written = redis.call('HGET', progress, 'written') or '0'
if step == 'end' then
  redis.call('UNLINK', progress)
else
  redis.call('EXPIRE', progress, KEPT)
end
return {'ok', written}
