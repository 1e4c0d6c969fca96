-- KEYS: fence, owner. ARGV: application, cluster, table, format, epoch, and the
-- epoch that it replaces, if only that.
-- The answer: the epoch and the position that the fence holds, and 'taken',
-- 'refused' or a proposal; or of a target that belongs to somebody else 'foreign',
-- its application, cluster and table.
--
-- Epoch 0 changes nothing and proposes one: later than the stored one, and as it
-- is a time, later than any that this server has forgotten. A proposal is taken
-- only if the fence still holds what it was made from, so that a copy of this
-- call that comes late cannot fence its own sender.
local owner = redis.call('HMGET', KEYS[2], 'application', 'cluster', 'table')
local owned = owner[1] or owner[2] or owner[3]
if owned and (owner[1] ~= ARGV[1] or owner[2] ~= ARGV[2] or owner[3] ~= ARGV[3]) then
  return {'foreign', owner[1] or '', owner[2] or '', owner[3] or ''}
end
local held = redis.call('HMGET', KEYS[1], 'epoch', 'position', 'format')
local epoch, position = held[1] or '', held[2] or ''
if ARGV[5] == '0' then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2]) -- microseconds, below 2^53 until 2255
  return {epoch, position, string.format('%.0f', math.max((tonumber(epoch) or 0) + 1, now))}
end

local refused = (tonumber(epoch) or 0) > tonumber(ARGV[5])
if ARGV[6] then refused = epoch ~= ARGV[6] end
if refused then return {epoch, position, 'refused'} end

-- Rows that were written in another format are not where ours are looked for: the
-- target knows nothing. Older versions wrote bytes; they have taken the epoch if the
-- format is not noted with it.
local format, of = string.match(held[3] or '', '^(.*)@(%d+)$')
if of ~= epoch then format = 'raw' end
if format ~= ARGV[4] then position = '' end
if not owned then redis.call('HSET', KEYS[2], 'application', ARGV[1], 'cluster', ARGV[2], 'table', ARGV[3]) end
redis.call('HSET', KEYS[1], 'epoch', ARGV[5], 'position', position, 'format', ARGV[4] .. '@' .. ARGV[5])
return {ARGV[5], position, 'taken'}
