#!lua flags=allow-oom
-- Reads what was said in a room after an offset, and is kept still; oldest first, at least one if there is any.
--
-- KEYS     as in part_room
-- ARGV[1]  the offset
-- ARGV[2]  how many at most
-- ARGV[3]  about how many bytes at most
-- Returns  {1 if the history has dropped nothing that came after the offset, else 0; 1 if there is more, else 0; the offset and the sealed envelope of each, …}; {}: there
--          is no such room

-- include part_numbers.lua
-- include part_room.lua

local CHUNK = 16

local offset, limit, limit_bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local room = redis.call('HMGET', info, 'created', 'last', 'keep_us')
if not room[1] then return {} end
local last, keep_us = tonumber(room[2] or room[1]), tonumber(room[3])
if keep_us > 0 then redis.call('XTRIM', history, 'MINID', int(math.max(now_us - keep_us, 0))) end

local function offset_of(entry)
  return tonumber(string.match(entry[1], '^%d+'))
end

local function field(entry, name)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == name then return entry[2][i + 1] end
  end
end

-- Of one that is not ours nothing is believed.
local oldest = redis.call('XRANGE', history, '-', '+', 'COUNT', 1)[1]
local dropped = last
if oldest then dropped = tonumber(field(oldest, 'p')) or offset_of(oldest) end

local result = {offset >= dropped and 1 or 0, 0}
local read, bytes = offset, 0
while limit > 0 and bytes < limit_bytes do
  local chunk = redis.call('XRANGE', history, int(read + 1) .. '-0', '+', 'COUNT', math.min(CHUNK, limit))
  if #chunk == 0 then break end
  for _, entry in ipairs(chunk) do
    local sealed = field(entry, 'm') or ''
    if bytes > 0 and bytes + #sealed > limit_bytes then
      bytes = limit_bytes
      break
    end
    read = offset_of(entry)
    limit, bytes = limit - 1, bytes + #sealed
    result[#result + 1] = int(read)
    result[#result + 1] = sealed
  end
end
if #result > 2 and read < last then result[2] = 1 end
return result
