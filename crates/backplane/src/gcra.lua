-- Takes from all buckets or from none. The arithmetic of gcra.rs; see there for the algorithm.
--
-- KEYS  one per want: the bucket. Its value is the time at which it will be full again, in microseconds since 1970.
-- ARGV  capacity, price, extra for each want (microseconds), then the time now, or "" for Redis' own.
--       extra: what the bucket lends in advance if it is still half full after that; see lending.rs.
-- Returns 1 or 0 (granted), then each bucket's debt before the decision.
--
-- The time is Redis' own: then it does not matter whose clock is how late, and replicas cannot disagree.
-- (Scripts replicate their effects since Redis 5, so asking for the time is allowed.)
-- Numbers in Lua are doubles, exact up to 2^53; microseconds since 1970 get there in the year 2255.
local now = tonumber(ARGV[#ARGV])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local reply = {1}
for i, key in ipairs(KEYS) do
  local capacity, price = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local tat = tonumber(redis.call('GET', key) or now)
  local debt = math.min(math.max(tat - now, 0), capacity)
  if debt + price > capacity then reply[1] = 0 end
  reply[i + 1] = debt
end

if reply[1] == 1 then
  for i, key in ipairs(KEYS) do
    local capacity, extra = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i])
    local debt = reply[i + 1] + tonumber(ARGV[3 * i - 1])
    if (debt + extra) * 2 <= capacity then debt = debt + extra end
    if debt > 0 then
      -- Kept ten seconds longer than the debt lasts, so that a small step back of the clock does not forgive it.
      -- %.0f: the default format would round to 14 digits.
      redis.call('SET', key, string.format('%.0f', now + debt), 'PX', string.format('%.0f', math.ceil(debt / 1000) + 10000))
    end
  end
end
return reply
