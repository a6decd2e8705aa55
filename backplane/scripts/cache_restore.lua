#!lua
-- Writes a value as it was dumped, whatever is there, and whoever has locked it.
-- Durable.
--
-- KEYS     value, lock
-- ARGV[1]  when it was saved, µs; 0: now
-- ARGV[2]  when it expires, µs; 0: never
-- ARGV[3]  kind
-- ARGV[4]  content
-- ARGV[5]  1: unless there is one
-- ARGV[6]  until when the call that restores may write, µs
-- Returns  'written', 'kept', 'expired', or 'late': it may not any more

-- include part_numbers.lua
local value, lock = KEYS[1], KEYS[2]
-- include part_cache.lua

if now_us >= tonumber(ARGV[6]) then return 'late' end
local created = tonumber(ARGV[1])
local expires = math.ceil(tonumber(ARGV[2]) / 1000) * 1000
if expires ~= 0 and expires <= now * 1000 then return 'expired' end
local record = redis.call('GETRANGE', value, 0, 32)
if record == '' then
  record = nil
elseif ARGV[5] == '1' then
  return 'kept'
end
write(created == 0 and now_us or created, expires, next_version(record), tonumber(ARGV[3]), ARGV[4])
return 'written'
