-- What both loads have in common: random customers, a pace, and the result as one line of
-- JSON. There is one thread.

-- Of `customers` customers number k is drawn about 1/k as often as the first (Zipf), or each as often as any other.
function draw_customer(distribution, customers)
  if distribution == "zipf" then
    return math.floor(math.exp(math.random() * math.log(customers)))
  end
  return math.random(customers)
end

-- Requests are made beforehand, so that the load costs as little as it can.
function prepare(count, seed, make)
  math.randomseed(seed)
  local requests = {}
  for n = 1, count do requests[n] = make() end
  local n = 0
  function request()
    n = n % count + 1
    return requests[n]
  end
end

-- So many requests a second, evenly, whichever connection has its turn, or as many as possible if it is 0. What could not be
-- sent in time is sent later. If `for_seconds` is given nothing is sent after them, so that every request has its answer before
-- wrk ends; this costs wrk a little.
function pace(rate, for_seconds)
  if rate == 0 and not for_seconds then return end
  local ffi = require("ffi")
  ffi.cdef("typedef struct { long s, ns; } moment; int clock_gettime(int, moment *);")
  local CLOCK_MONOTONIC, now = 1, ffi.new("moment")
  local function now_ms()
    ffi.C.clock_gettime(CLOCK_MONOTONIC, now)
    return tonumber(now.s) * 1e3 + tonumber(now.ns) / 1e6
  end
  local due, last
  -- In whole milliseconds; fractions are made up for by the next ones.
  function delay()
    local now = now_ms()
    if for_seconds then
      last = last or now + for_seconds * 1e3
      if now >= last then return 3600 * 1e3 end
    end
    if rate == 0 then return 0 end
    due = (due or now) + 1e3 / rate
    return math.max(0, math.floor(due - now))
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "bytes": %d, "failed": %d, "p50_micros": %d, "p99_micros": %d}\n',
    summary.requests, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
