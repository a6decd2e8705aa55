#!lua
-- Sets a value.
-- Durable.
--
-- KEYS     value, lock, what the request came to
-- ARGV[1]  holder
-- ARGV[2]  token, or 0
-- ARGV[3]  expires after, µs; 0: never
-- ARGV[4]  kind
-- ARGV[5]  content
-- ARGV[6]  the version that it must have (0: none), or ''
-- ARGV[7]  for how long to remember what came of the request, ms; 0: it has no id
-- Returns  {'saved', 1 if there was one before, version}, {'locked', holder}, {'lost'} or {'mismatch', version or 0}

-- include part_numbers.lua
local value, lock, request = KEYS[1], KEYS[2], KEYS[3]
-- include part_cache.lua

local remember = ARGV[7]
if remember ~= '0' then
  local before = redis.call('GET', request)
  if before then return cmsgpack.unpack(before) end
end
local no = refused(ARGV[1], ARGV[2])
if no then return no end

-- The header is enough of it.
local record = redis.call('GETRANGE', value, 0, 32)
if record == '' then record = nil end
local version = next_version(record)
if ARGV[6] ~= '' then
  local has = record and select(4, struct.unpack(HEADER, record)) or 0
  if has ~= tonumber(ARGV[6]) then return {'mismatch', int(has)} end
end
local after = tonumber(ARGV[3])
write(now_us, after == 0 and 0 or moment_in(after), version, tonumber(ARGV[4]), ARGV[5])

local saved = {'saved', record and 1 or 0, int(version)}
if remember ~= '0' then redis.call('SET', request, cmsgpack.pack(saved), 'PX', remember) end
return saved
