-- changes
-- The orders of these customers that transactions in these ranges wrote.
SELECT o.changed_in, o.customer_id,
       o.order_id, o.total_cents, o.currency, o.status, o.placed_at, o.item_count, o.last_item_sku, o.version
FROM unnest($1, $2) AS t (first, "end")
CROSS JOIN LATERAL (
    SELECT *
    FROM order_summary
    WHERE changed_in >= t.first AND changed_in < t."end"
      -- Only transaction ids that this server has assigned. Rows of a restored dump may have higher ones: these
      -- belong to another history and are no changes.
      AND changed_in < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    -- OFFSET 0 is an optimization fence. Without it, for few customers, the planner reads all their orders instead of
    -- recent changes.
    OFFSET 0
) AS o
WHERE o.customer_id = ANY($3)
LIMIT $4
