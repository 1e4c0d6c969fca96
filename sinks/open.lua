-- KEYS: fence. ARGV: epoch, and the epoch that it replaces, if only that.
-- The answer: the epoch and the position that the fence holds, and 'taken',
-- 'refused' or a proposal.
--
-- Epoch 0 changes nothing and proposes one: later than the stored one, and as it
-- is a time, later than any that this server has forgotten. A proposal is taken
-- only if the fence still holds what it was made from, so that a copy of this
-- call that comes late cannot fence its own sender.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'position')
local epoch, position = held[1] or '', held[2] or ''
if ARGV[1] == '0' then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2]) -- microseconds, below 2^53 until 2255
  return {epoch, position, string.format('%.0f', math.max((tonumber(epoch) or 0) + 1, now))}
end

local refused = (tonumber(epoch) or 0) > tonumber(ARGV[1])
if ARGV[2] then refused = epoch ~= ARGV[2] end
if refused then return {epoch, position, 'refused'} end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
return {ARGV[1], position, 'taken'}
