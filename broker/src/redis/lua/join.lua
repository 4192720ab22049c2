-- KEYS: head, stream (of the events), bans, members, public, own members, changes
-- ARGV: (how), topic, id, payload, user, member, public, members up to which each is announced
-- Returns {until, now} for a banned user, else {0 or 1: whether it was only counted}.
local now = now_ms()
local ends = banned_until(KEYS[3], ARGV[8], now)
if ends then return {ends, now} end
if redis.call('ZSCORE', KEYS[4], ARGV[9]) then return {0} end
local before = redis.call('ZCARD', KEYS[4])
local time = redis.call('TIME')
local score = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
redis.call('SADD', KEYS[6], ARGV[9])
redis.call('ZADD', KEYS[4], score, ARGV[9])
redis.call('HSET', KEYS[5], ARGV[9], ARGV[10])
if before >= tonumber(ARGV[11]) then
  redis.call('HINCRBY', KEYS[7], 'j', 1)
  return {1}
end
append({KEYS[1], KEYS[2], ARGV[5]}, how, ARGV[6], ARGV[7])
return {0}
