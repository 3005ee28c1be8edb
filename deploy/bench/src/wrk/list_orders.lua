-- Reads the 20 newest orders of random customers.

function init(args)
  prepare(100000, function()
    local customer = draw_customer(args[2], tonumber(args[3]))
    return wrk.format("GET", "/customers/customer-" .. customer .. "/orders?limit=20")
  end)
  keep_to(tonumber(args[1]))
end
