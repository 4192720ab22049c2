-- What the scripts share. Every key of a room carries the same hash tag, so that a script's keys lie in
-- one slot of a cluster. Numbers that may pass 2^31 are texts: Lua's own would lose digits.

-- Milliseconds since the Unix epoch, by this server's clock: the one clock that decides when bans end.
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Until when a user is banned ('0' for ever), if so.
local function banned_until(bans, user, now)
  local ends = redis.call('HGET', bans, user)
  if not ends or ends == '0' then return ends end
  if tonumber(ends) > now then return ends end
  redis.call('HDEL', bans, user)
  return false
end

-- Gives a message its number, keeps it and publishes it. Returns its place: 'epoch offset id'.
-- to: {head, stream, topic}; how: {publish command, messages kept, expiry in ms, epoch if there is none}.
local function append(to, how, id, payload)
  local head = redis.call('HMGET', to[1], 'e', 'o')
  local epoch, offset = head[1], head[2]
  if not epoch then
    redis.call('DEL', to[2])
    epoch, offset = how[4], '0'
  end
  local number = string.format('%.0f', tonumber(offset) + 1)
  redis.call('XADD', to[2], 'MAXLEN', how[2], number .. '-0', 'i', id, 'p', payload)
  redis.call('HSET', to[1], 'e', epoch, 'o', number, 'i', id)
  redis.call('PEXPIRE', to[1], how[3])
  redis.call('PEXPIRE', to[2], how[3])
  local place = epoch .. ' ' .. number .. ' ' .. id
  -- Kept is kept: where publishing is not allowed the others find it when they next look.
  redis.pcall(how[1], to[3], 'M ' .. place .. ' ' .. payload)
  return place
end

local how = {ARGV[1], ARGV[2], ARGV[3], ARGV[4]}
