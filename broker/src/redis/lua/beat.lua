-- A worker is alive. KEYS: beats, records, dying. ARGV: (how), lease, record, '1' if the lease is new.
-- Returns 0 if the lease is not known any more: its people may just be being removed.
if redis.call('ZSCORE', KEYS[3], ARGV[5]) then return 0 end
if ARGV[7] ~= '1' and not redis.call('ZSCORE', KEYS[1], ARGV[5]) then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now_ms()), ARGV[5])
if ARGV[6] ~= '' then redis.call('HSET', KEYS[2], ARGV[5], ARGV[6]) end
return 1
