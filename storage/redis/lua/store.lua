-- Sets many keys to live for the same time: one command instead of one for each.
-- KEYS[i] with value ARGV[i + 1]; ARGV[1] is the time to live in milliseconds.
for i, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1])
end
return #KEYS
