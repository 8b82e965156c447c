-- Keeps answers, and raises the greatest answered id of each device.
-- KEYS: one for each answer, then one for each device. ARGV: time to live in milliseconds, number of
-- answers, the answers, and for each device an id. Ids are compared as text: a UUIDv7 sorts by its time.
local ttl, answers = ARGV[1], tonumber(ARGV[2])
for i = answers + 1, #KEYS do
  local known = redis.call('GET', KEYS[i])
  if known and known > ARGV[i + 2] then redis.call('PEXPIRE', KEYS[i], ttl)
  else redis.call('SET', KEYS[i], ARGV[i + 2], 'PX', ttl) end
end
for i = 1, answers do
  redis.call('SET', KEYS[i], ARGV[i + 2], 'PX', ttl)
end
return answers
