-- KEYS: head, stream (of the events), members, public, own members, changes
-- ARGV: (how), topic, id, payload, member, members up to which each is announced
-- Returns 1 if it was only counted.
redis.call('SREM', KEYS[5], ARGV[8])
redis.call('HDEL', KEYS[4], ARGV[8])
if redis.call('ZREM', KEYS[3], ARGV[8]) == 0 then return 0 end
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[9]) then
  redis.call('HINCRBY', KEYS[6], 'l', 1)
  return 1
end
append({KEYS[1], KEYS[2], ARGV[5]}, how, ARGV[6], ARGV[7])
return 0
