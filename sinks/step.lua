-- KEYS: fence. ARGV: epoch, from, to, number of deletes, the keys to delete,
-- then key, value, key, value, ...
-- The answer: nothing if the step was applied, else the epoch and the position
-- that the fence holds.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'position')
local epoch, position = held[1] or '', held[2] or ''
if epoch ~= ARGV[1] or position ~= ARGV[2] then return {epoch, position} end

-- unpack takes 8,000 values at most; an even number keeps key and value together.
local function each(command, first, last)
  for i = first, last, 2000 do
    redis.call(command, unpack(ARGV, i, math.min(i + 1999, last)))
  end
end

-- Deletes first: they are allowed, and make room, when memory is full, and after
-- a first write the server refuses the script nothing for want of memory.
local sets = 5 + tonumber(ARGV[4])
each('UNLINK', 5, sets - 1)
each('MSET', sets, #ARGV)
if ARGV[3] ~= ARGV[2] then redis.call('HSET', KEYS[1], 'position', ARGV[3]) end
return {}
