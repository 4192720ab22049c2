-- A lease ends: nobody may use it again, and its people are to be removed.
-- KEYS: beats, records, dying. ARGV: (how), lease, the beat after which none was seen, or ''.
-- Returns 0 if it has been heard of since.
if ARGV[6] ~= '' and redis.call('ZSCORE', KEYS[1], ARGV[5]) ~= ARGV[6] then return 0 end
-- First what takes memory: where beats are refused for want of it, so is this.
redis.call('ZADD', KEYS[3], string.format('%.0f', now_ms()), ARGV[5])
redis.call('ZREM', KEYS[1], ARGV[5])
redis.call('HDEL', KEYS[2], ARGV[5])
return 1
