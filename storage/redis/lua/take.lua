-- Takes tokens from a GCRA limiter (one number per key: when it will be full again).
-- KEYS[1] limiter; ARGV: microseconds per token, burst in tokens, cost in tokens.
-- Returns 0 if they were taken, else the microseconds to wait (nothing is taken then).
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local interval, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local function keep(at) redis.call('SET', KEYS[1], string.format('%.0f', at), 'PX', math.ceil((at - now) / 1000) + 1) end
local kept = tonumber(redis.call('GET', KEYS[1]) or 0)
if kept > now + burst * interval then -- more than a burst ahead: the clock was set back
  kept = now + burst * interval
  keep(kept)
end
local full_at = math.max(kept, now) + cost * interval
local wait = full_at - burst * interval - now
if wait > 0 then return math.ceil(wait) end
keep(full_at)
return 0
