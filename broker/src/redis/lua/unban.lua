-- KEYS: bans. ARGV: (how), user. Returns 1 if the user was banned.
local was = banned_until(KEYS[1], ARGV[5], now_ms())
redis.call('HDEL', KEYS[1], ARGV[5])
return was and 1 or 0
