\set customer greatest(1, int(exp(random(0, 99999999) / 100000000.0 * ln(:customers)) - 0.5))
SELECT order_id, total_cents, currency, status, placed_at, item_count, last_item_sku, version
FROM order_summary WHERE customer_id = 'customer-' || :customer
ORDER BY placed_at DESC, order_id DESC LIMIT 20;
