-- What both loads have in common: random customers, an even pace, and the result as one line of JSON.

local threads = 0

-- Without a seed of its own each thread would draw the same customers.
function setup(thread)
  threads = threads + 1
  thread:set("seed", threads)
end

-- Of `customers` customers number k is drawn about 1/k as often as the first (Zipf), or each as often as any other.
function draw_customer(distribution, customers)
  if distribution == "zipf" then
    return math.floor(math.exp(math.random() * math.log(customers)))
  end
  return math.random(customers)
end

-- Requests are made beforehand, so that the load costs as little as it can.
function prepare(count, make)
  math.randomseed(seed)
  local requests = {}
  for n = 1, count do requests[n] = make() end
  local n = 0
  function request()
    n = n % count + 1
    return requests[n]
  end
end

-- So many requests a second by this thread, evenly, whichever connection has its turn; as many as possible if it is 0.
function keep_to(rate)
  if rate == 0 then return end
  local ffi = require("ffi")
  ffi.cdef("typedef struct { long s, ns; } moment; int clock_gettime(int, moment *);")
  local CLOCK_MONOTONIC, moment = 1, ffi.new("moment")
  local function now_ms()
    ffi.C.clock_gettime(CLOCK_MONOTONIC, moment)
    return tonumber(moment.s) * 1e3 + tonumber(moment.ns) / 1e6
  end
  local due = now_ms()
  -- In milliseconds, without fractions: those are made up for by the next ones. Time that was lost is not.
  function delay()
    local now = now_ms()
    due = math.max(due + 1e3 / rate, now)
    return math.floor(due - now)
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "micros": %d, "failed": %d, "p50_micros": %d, "p99_micros": %d}\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
