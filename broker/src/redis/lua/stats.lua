-- KEYS: viewers, members, public. ARGV: (how), skip, limit.
-- Returns {viewers, members, {public, ...}}.
local viewers = 0
for _, count in ipairs(redis.call('HVALS', KEYS[1])) do viewers = viewers + tonumber(count) end
local users, limit = {}, tonumber(ARGV[6])
if limit > 0 then
  local skip = tonumber(ARGV[5])
  local names = redis.call('ZRANGE', KEYS[2], string.format('%.0f', skip), string.format('%.0f', skip + limit - 1))
  if #names > 0 then users = redis.call('HMGET', KEYS[3], unpack(names)) end
end
return {viewers, redis.call('ZCARD', KEYS[2]), users}
