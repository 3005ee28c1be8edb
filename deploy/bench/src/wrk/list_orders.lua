-- Reads the 20 newest orders of random customers.

function init(args)
  local rate, seconds, seed, tokens, distribution, customers = unpack(args, 1, 6)
  prepare(300000, tonumber(seed), tokens, function(headers)
    local customer = random_customer(distribution, tonumber(customers))
    return wrk.format("GET", "/customers/customer-" .. customer .. "/orders?limit=20", headers)
  end)
  pace(tonumber(rate), tonumber(seconds))
end
