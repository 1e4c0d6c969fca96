-- KEYS: fence, owner, and the index of a table whose names are not read back.
-- ARGV: epoch, from, to, application, cluster, table, number of deletes, the names
-- to delete, then name, value, name, value, ...; with an index then the row of each
-- name, in the same order, '' for a name to delete whoever has it.
-- The answer: nothing if the step was applied, else the epoch and the position
-- that the fence holds; or 'foreign' and the owner; or 'collides', a name, the row
-- that has it, and the row that comes to it.
local owner = redis.call('HMGET', KEYS[2], 'application', 'cluster', 'table')
if owner[1] ~= ARGV[4] or owner[2] ~= ARGV[5] or owner[3] ~= ARGV[6] then
  if not (owner[1] or owner[2] or owner[3]) then return {'', ''} end
  return {'foreign', owner[1] or '', owner[2] or '', owner[3] or ''}
end
local held = redis.call('HMGET', KEYS[1], 'epoch', 'position')
local epoch, position = held[1] or '', held[2] or ''
if epoch ~= ARGV[1] or position ~= ARGV[2] then return {epoch, position} end

-- unpack takes 8,000 values at most; an even number keeps key and value together.
local function each(command, list, first, last, key)
  for i = first, last, 2000 do
    local upto = math.min(i + 1999, last)
    if key then redis.call(command, key, unpack(list, i, upto)) else redis.call(command, unpack(list, i, upto)) end
  end
end

local deletes = tonumber(ARGV[7])
local names, sets, last, rows = ARGV, 8 + deletes, #ARGV, {}
local first, n = 8, deletes

if KEYS[3] then
  -- A name has one row. Nothing is written before all are known to be right.
  local count = (#ARGV - 7 - 2 * deletes) / 3
  last = sets + 2 * count - 1
  names, first, n = {}, 1, 0
  local gone, new = {}, {}
  for i = 1, deletes do
    local name, row = ARGV[7 + i], ARGV[last + i]
    local has = redis.call('HMGET', KEYS[3], name)[1]
    if row == '' or not has or has == row then
      n = n + 1
      names[n] = name
      gone[name] = true
    end
  end
  for i = 1, count do
    local name, row = ARGV[sets + 2 * i - 2], ARGV[last + deletes + i]
    local has = new[name] or (not gone[name] and redis.call('HMGET', KEYS[3], name)[1])
    if has and has ~= row then return {'collides', name, has, row} end
    if not has then
      rows[#rows + 1] = name
      rows[#rows + 1] = row
    end
    new[name] = row
  end
end

-- Deletes first: they are allowed, and make room, when memory is full, and after
-- a first write the server refuses the script nothing for want of memory.
each('UNLINK', names, first, first + n - 1)
if KEYS[3] then
  each('HDEL', names, first, first + n - 1, KEYS[3])
  each('HSET', rows, 1, #rows, KEYS[3])
end
each('MSET', ARGV, sets, last)
if ARGV[3] ~= ARGV[2] then redis.call('HSET', KEYS[1], 'position', ARGV[3]) end
return {}
