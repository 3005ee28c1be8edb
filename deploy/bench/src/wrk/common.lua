-- Common parts of all loads: random customers, a rate, and the result as one line of JSON. There is one thread.

-- Chooses a customer: number k about 1/k as often as the first (Zipf), or all equally often.
function random_customer(distribution, customers)
  if distribution == "zipf" then
    return math.floor(math.exp(math.random() * math.log(customers)))
  end
  return math.random(customers)
end

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

-- Returns a function for the headers of the next request, with the next token of the file if it has any, and the number
-- of tokens.
local function callers(file)
  local values, last = {}, 0
  for token in io.lines(file) do table.insert(values, "Bearer " .. token) end
  return function()
    if #values == 0 then return {} end
    last = last % #values + 1
    return { ["authorization"] = values[last] }
  end, #values
end

-- Prepares at least `count` requests before the run, which saves CPU time during it. `make` gets the headers of each.
function prepare(count, seed, tokens, make)
  math.randomseed(seed)
  local headers, different = callers(tokens)
  count = math.max(count, different)
  local requests = {}
  for n = 1, count do requests[n] = make(headers()) end
  -- wrk does not send the first request.
  sent = -1
  function request()
    sent = sent + 1
    return requests[sent % count + 1]
  end
end

-- Sends `rate` requests per second at even intervals over all connections, or as many as possible if it is 0. Late requests
-- are sent later. If `for_seconds` is not 0, sends nothing after it, so that all responses arrive before wrk ends.
function pace(rate, for_seconds)
  if rate == 0 and for_seconds == 0 then return end
  local ffi = require("ffi")
  ffi.cdef("typedef struct { long s, ns; } moment; int clock_gettime(int, moment *);")
  local CLOCK_MONOTONIC, now = 1, ffi.new("moment")
  local function now_ms()
    ffi.C.clock_gettime(CLOCK_MONOTONIC, now)
    return tonumber(now.s) * 1e3 + tonumber(now.ns) / 1e6
  end
  local due, last
  -- In whole milliseconds; later requests compensate fractions.
  function delay()
    local now = now_ms()
    if for_seconds > 0 then
      last = last or now + for_seconds * 1e3
      if now >= last then return 3600 * 1e3 end
    end
    if rate == 0 then return 0 end
    due = (due or now) + 1e3 / rate
    return math.max(0, math.floor(due - now))
  end
end

function done(summary, latency, requests)
  local errors, sent = summary.errors, 0
  for _, thread in ipairs(threads) do sent = sent + thread:get("sent") end
  io.write(string.format(
    'RESULT {"sent": %d, "requests": %d, "bytes": %d, "micros": %d, "failed": %d, "p50_micros": %d, "p99_micros": %d}\n',
    sent, summary.requests, summary.bytes, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
