-- Takes tokens from a GCRA limiter (one number per key: when it will be full again).
-- KEYS[1] limiter; ARGV: microseconds per token, burst in tokens, cost in tokens.
-- Returns 0 if they were taken, else the microseconds to wait (nothing is taken then).
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local interval, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + cost * interval
local wait = full_at - burst * interval - now
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
return 0
