-- What both loads have in common: random customers, pauses between requests, and the result as one line of JSON.

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

-- Each connection pauses between two requests, so long on average.
function pause(mean_ms)
  if mean_ms > 0 then
    function delay() return math.random(0, 2 * mean_ms) end
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
