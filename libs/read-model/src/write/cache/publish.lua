-- Writes a batch of one partition if this cache is exactly at the batch's start, and renews the lease.
-- KEYS: lease, next, users. ARGV: start, end, lease ('' for none), its expiry in milliseconds of this
-- server's clock, its run id, then '<version>\n<body>' for each user.
-- Returns the new value of `next`, and the server's time and run id.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local there = redis.call('GET', KEYS[2]) or ''
if there ~= ARGV[1] then
    return { there, now, run }
end
for i = 3, #KEYS do
    local entry = ARGV[i + 3]
    local version = tonumber(string.match(entry, '^%d+'))
    local old = redis.call('GET', KEYS[i])
    local old_version = old and tonumber(string.match(old, '^%d+')) or -1
    -- Never an older version. Of the same version there is an invalidation, or this very body, or one
    -- from before a repair.
    if version >= old_version then
        redis.call('SET', KEYS[i], entry)
    end
end
redis.call('SET', KEYS[2], ARGV[2])
local life = tonumber(ARGV[4]) - now
if ARGV[3] ~= '' and run == ARGV[5] and life > 0 then
    redis.call('SET', KEYS[1], ARGV[3], 'PX', life)
end
return { ARGV[2], now, run }
