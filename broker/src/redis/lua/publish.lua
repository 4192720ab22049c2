-- KEYS: head, stream, bans, idempotency key
-- ARGV: (how), topic, id, payload, user or '', life of the idempotency key in ms or ''
if ARGV[8] ~= '' then
  local now = now_ms()
  local ends = banned_until(KEYS[3], ARGV[8], now)
  if ends then return {'banned', ends, now} end
end
if ARGV[9] ~= '' then
  local first = redis.call('GET', KEYS[4])
  if first then return {'again', first} end
end
local place = append({KEYS[1], KEYS[2], ARGV[5]}, how, ARGV[6], ARGV[7])
if ARGV[9] ~= '' then redis.call('SET', KEYS[4], place, 'PX', ARGV[9]) end
return {'new', place}
