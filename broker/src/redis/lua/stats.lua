-- KEYS: viewers, members, public. ARGV: (how), skip, limit.
-- Returns {{lease, viewers, ...}, members, {public, ...}}.
local users, limit = {}, tonumber(ARGV[6])
if limit > 0 then
  local skip = tonumber(ARGV[5])
  local names = redis.call('ZRANGE', KEYS[2], string.format('%.0f', skip), string.format('%.0f', skip + limit - 1))
  if #names > 0 then users = redis.call('HMGET', KEYS[3], unpack(names)) end
end
return {redis.call('HGETALL', KEYS[1]), redis.call('ZCARD', KEYS[2]), users}
