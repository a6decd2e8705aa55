-- Part of scripts on values and locks. Before it: the locals `value` and `lock`, their keys.
--   value  string: when it was saved, when it expires (0: never) and when it was read last (0: never), µs; its version; its kind; then
--          its content. Four numbers of 8 bytes, big-endian, and a byte. Redis expires it.
--   lock   string: its token and when it ends, µs, 8 bytes each; then its holder. Redis expires it.
local HEADER = '>I8I8I8I8B'
local JSON, BYTES, INTEGER = 1, 2, 3

-- To whole milliseconds, as Redis expires: `us` from now.
local function moment_in(us)
  return math.max(now + 1, math.ceil((now_us + us) / 1000)) * 1000
end

-- Why the caller may not touch the key: nil, if it may.
local function refused(holder, token)
  local record = redis.call('GET', lock)
  if token ~= '0' then
    if not record or struct.unpack('>I8', record) ~= tonumber(token) then return {'lost'} end
  elseif record and string.sub(record, 17) ~= holder then
    return {'locked', string.sub(record, 17)}
  end
end

local function next_version(record)
  local last = record and select(4, struct.unpack(HEADER, record)) or 0
  return math.max(last + 1, now_us)
end

-- `expires`: in µs, whole milliseconds; 0: never.
local function write(created, expires, version, kind, content)
  local record = struct.pack(HEADER, created, expires, 0, version, kind) .. content
  if expires == 0 then return redis.call('SET', value, record) end
  redis.call('SET', value, record, 'PXAT', int(expires / 1000))
end
