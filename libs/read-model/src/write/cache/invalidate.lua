-- Invalidates users' bodies, so that readers ask PostgreSQL. KEYS: users; ARGV: '<version>\n' each, then
-- 'same' if bodies of that very version are wrong, too.
-- Returns the server's time and run id.
for i, key in ipairs(KEYS) do
    local there = redis.call('GET', key)
    local version = tonumber(string.match(ARGV[i], '^%d+'))
    -- A malformed value has no version, and any other replaces it.
    local old_version = there and tonumber(string.match(there, '^%d+')) or -1
    if old_version < version or (old_version == version and ARGV[#KEYS + 1] == 'same') then
        redis.call('SET', key, ARGV[i])
    end
end
local time = redis.call('TIME')
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
return { tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), run }
