-- Places orders of three items without an identity, so that each is new.

function init(args)
  local rate, seconds, seed, tokens = unpack(args, 1, 4)
  prepare(5000, tonumber(seed), tokens, function(headers)
    local item = '{"sku": "SKU-%05d", "quantity": %d, "price_cents": %d}'
    local items = {}
    for n = 1, 3 do
      items[n] = string.format(item, math.random(99999), math.random(5), math.random(20000))
    end
    local customer = random_customer("uniform", 100000)
    local body = string.format('{"customer_id": "customer-%d", "items": [%s]}', customer, table.concat(items, ", "))
    headers["content-type"] = "application/json"
    return wrk.format("POST", "/orders", headers, body)
  end)
  pace(tonumber(rate), tonumber(seconds))
end
