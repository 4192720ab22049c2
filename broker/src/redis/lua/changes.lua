-- What is to be told of a large room's comings and goings, at most once in a while by anybody.
-- KEYS: members, changes, gate. ARGV: (how), the while in ms.
-- Returns 0 for nothing to tell, 1 for not yet, or {members, joined, left}.
local changes = redis.call('HMGET', KEYS[2], 'j', 'l')
if not changes[1] and not changes[2] then return 0 end
if not redis.call('SET', KEYS[3], '1', 'NX', 'PX', ARGV[5]) then return 1 end
redis.call('DEL', KEYS[2])
return {redis.call('ZCARD', KEYS[1]), tonumber(changes[1] or 0), tonumber(changes[2] or 0)}
