-- Returns the values of the keys and removes them, so that each is given out once.
local values = redis.call('MGET', unpack(KEYS))
redis.call('DEL', unpack(KEYS))
return values
