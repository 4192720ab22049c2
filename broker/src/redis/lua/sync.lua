-- Where a channel is, for one who knows nothing of it or was at a position.
-- KEYS: head, stream
-- ARGV: (how), topic, life of an empty channel in ms, own epoch or '', own offset, own id
-- Returns epoch, offset, id, and whether the own position is of this past, so that what follows it can be
-- read. The messages themselves are read beside this: a script holds everybody up for as long as it runs.
local head = redis.call('HMGET', KEYS[1], 'e', 'o', 'i')
local epoch, offset, id = head[1], head[2], head[3]
if not epoch then
  redis.call('DEL', KEYS[2])
  epoch, offset, id = ARGV[4], '0', ''
  redis.call('HSET', KEYS[1], 'e', epoch, 'o', offset, 'i', id)
end
if offset == '0' then redis.call('PEXPIRE', KEYS[1], ARGV[6]) end
if ARGV[7] == epoch then
  local mine, theirs = tonumber(ARGV[8]), tonumber(offset)
  local there = false
  if mine == theirs then
    there = id
  elseif mine == 0 then
    local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    there = first and first[1] == '1-0' and ''
  elseif mine < theirs then
    local entry = redis.call('XRANGE', KEYS[2], ARGV[8] .. '-0', ARGV[8] .. '-0')[1]
    there = entry and entry[2][2]
  end
  if there == ARGV[9] then return {epoch, offset, id, 1} end
  if there or mine > theirs then
    -- The store has lost its tail, and perhaps given numbers out again: what is kept goes on in
    -- another epoch, in which nobody has been yet.
    epoch = ARGV[4]
    redis.call('HSET', KEYS[1], 'e', epoch)
    redis.pcall(ARGV[1], ARGV[5], 'R ' .. epoch)
  end
end
return {epoch, offset, id, 0}
