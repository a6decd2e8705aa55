#!lua
-- Adds to a value. Lua's numbers are not exact beyond 2^53: Redis's own INCRBY adds, at a scratch key.
-- Durable.
--
-- KEYS     value, lock, what the request came to, scratch
-- ARGV[1]  holder
-- ARGV[2]  token, or 0
-- ARGV[3]  what to add, a 64-bit integer
-- ARGV[4]  if it was not there: expires after, µs; 0: never
-- ARGV[5]  for how long to remember what came of the request, ms; 0: it has no id
-- Returns  {'sum', the sum, version}, {'locked', holder}, {'lost'}, {'other'}: it is no integer, or {'range'}: the sum would be none of 64 bits

-- include part_numbers.lua
local value, lock, request, scratch = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- include part_cache.lua

local remember = ARGV[5]
if remember ~= '0' then
  local before = redis.call('GET', request)
  if before then return cmsgpack.unpack(before) end
end
local no = refused(ARGV[1], ARGV[2])
if no then return no end

local record = redis.call('GET', value)
local number = '0'
local created, after = now_us, tonumber(ARGV[4])
local expires = after == 0 and 0 or moment_in(after)
if record then
  created, expires = struct.unpack('>I8I8', record)
  local kind = string.byte(record, 33)
  number = string.sub(record, 34)
  if kind == JSON then
    -- A serialized Value that is a number: its field 2, a double.
    if #number ~= 9 or string.byte(number) ~= 0x11 then return {'other'} end
    local double = struct.unpack('<d', string.sub(number, 2))
    if double ~= math.floor(double) or math.abs(double) > 2 ^ 53 then return {'other'} end
    number = string.format('%.0f', double)
    if number == '-0' then number = '0' end
  elseif kind ~= INTEGER then
    return {'other'}
  end
end

redis.call('SET', scratch, number)
local added = redis.pcall('INCRBY', scratch, ARGV[3])
local sum = redis.call('GET', scratch)
redis.call('DEL', scratch)
if type(added) == 'table' and added.err then return {'range'} end
local version = next_version(record)
write(created, expires, version, INTEGER, sum)

local said = {'sum', sum, int(version)}
if remember ~= '0' then redis.call('SET', request, cmsgpack.pack(said), 'PX', remember) end
return said
