-- KEYS: beats, records, dying, looked. ARGV: (how).
-- Returns {now, {lease, last beat, record or '', ...}, {dying lease, ...}}.
-- Whoever looks writes: while Redis takes no writes, nobody's silence means anything.
redis.call('SET', KEYS[4], now_ms(), 'PX', 60000)
local beats, leases = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'), {}
for i = 1, #beats, 2 do
  leases[#leases + 1] = beats[i]
  leases[#leases + 1] = beats[i + 1]
  leases[#leases + 1] = redis.call('HGET', KEYS[2], beats[i]) or ''
end
return {string.format('%.0f', now_ms()), leases, redis.call('ZRANGE', KEYS[3], 0, -1)}
