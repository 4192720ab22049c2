-- KEYS: head, stream. ARGV: (how), messages wanted. Returns the epoch and entries, the newest first.
local epoch = redis.call('HGET', KEYS[1], 'e')
if not epoch then return {'', {}} end
return {epoch, redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', ARGV[5])}
