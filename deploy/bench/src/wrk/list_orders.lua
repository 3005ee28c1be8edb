-- Reads the 20 newest orders of random customers.

function init(args)
  local rate, seconds, seed, distribution, customers = unpack(args, 1, 5)
  prepare(300000, tonumber(seed), function()
    local customer = random_customer(distribution, tonumber(customers))
    return wrk.format("GET", "/customers/customer-" .. customer .. "/orders?limit=20")
  end)
  pace(tonumber(rate), tonumber(seconds))
end
