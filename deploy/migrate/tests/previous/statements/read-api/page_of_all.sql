-- page_of_all
-- One page of the orders of all customers in some statuses. The index returns the orders of one status in the order of
-- the list. So there is one scan per status, and merging them needs no sort: it reads one row of each, and then only
-- what the page shows. With `status = ANY(…)`, PostgreSQL would sort all orders in these statuses. The ORDER BY inside
-- tells it that the scans are in order. The scan of a status that was not requested does not start.
SELECT o.customer_id,
       o.order_id, o.total_cents, o.currency, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version
FROM (SELECT $1 AS statuses, $2 AS before_placed_at, $3 AS before_order_id, $4 AS placed_from) AS r
CROSS JOIN LATERAL (
    (SELECT customer_id, order_id, total_cents, currency, status, placed_at, item_count, last_item_sku, version
     FROM order_summary
     WHERE status = 'placed' AND 'placed' = ANY(statuses)
       AND (placed_at, order_id) < (before_placed_at, before_order_id) AND placed_at >= placed_from
     ORDER BY placed_at DESC, order_id DESC)
    UNION ALL
    (SELECT customer_id, order_id, total_cents, currency, status, placed_at, item_count, last_item_sku, version
     FROM order_summary
     WHERE status = 'paid' AND 'paid' = ANY(statuses)
       AND (placed_at, order_id) < (before_placed_at, before_order_id) AND placed_at >= placed_from
     ORDER BY placed_at DESC, order_id DESC)
    UNION ALL
    (SELECT customer_id, order_id, total_cents, currency, status, placed_at, item_count, last_item_sku, version
     FROM order_summary
     WHERE status = 'shipped' AND 'shipped' = ANY(statuses)
       AND (placed_at, order_id) < (before_placed_at, before_order_id) AND placed_at >= placed_from
     ORDER BY placed_at DESC, order_id DESC)
    UNION ALL
    (SELECT customer_id, order_id, total_cents, currency, status, placed_at, item_count, last_item_sku, version
     FROM order_summary
     WHERE status = 'delivered' AND 'delivered' = ANY(statuses)
       AND (placed_at, order_id) < (before_placed_at, before_order_id) AND placed_at >= placed_from
     ORDER BY placed_at DESC, order_id DESC)
    UNION ALL
    (SELECT customer_id, order_id, total_cents, currency, status, placed_at, item_count, last_item_sku, version
     FROM order_summary
     WHERE status = 'cancelled' AND 'cancelled' = ANY(statuses)
       AND (placed_at, order_id) < (before_placed_at, before_order_id) AND placed_at >= placed_from
     ORDER BY placed_at DESC, order_id DESC)
) AS o
ORDER BY o.placed_at DESC, o.order_id DESC
LIMIT $5
