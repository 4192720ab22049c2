-- KEYS: bans. ARGV: (how). Returns users and until when, in turn; forgets those that have ended.
local now, all, listed = now_ms(), redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  if all[i + 1] == '0' or tonumber(all[i + 1]) > now then
    listed[#listed + 1] = all[i]
    listed[#listed + 1] = all[i + 1]
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return listed
