-- KEYS: head, stream, bans
-- ARGV: (how), topic, id, payload, user, until ('0' for ever), topic of all workers, room
local now = now_ms()
if ARGV[9] ~= '0' and tonumber(ARGV[9]) <= now then return 0 end
redis.call('HSET', KEYS[3], ARGV[8], ARGV[9])
append({KEYS[1], KEYS[2], ARGV[5]}, how, ARGV[6], ARGV[7])
redis.pcall('PUBLISH', ARGV[10], ARGV[11] .. '\n' .. ARGV[8] .. '\n' .. ARGV[9] .. '\n' .. string.format('%.0f', now))
return 1
