-- lock_rows
-- The orders whose rows another session has locked. Locks all other existing rows, as strongly as the upsert's update
-- does.
SELECT t.order_id
FROM unnest($1) AS t (order_id)
-- Scalar subqueries, not joins: each key is looked up by itself, whatever the statistics say. BETWEEN with ORDER BY can
-- use only the primary key: other indexes contain the column too, and seem as cheap while the table is empty.
WHERE (
        SELECT true
        FROM order_summary AS known
        WHERE known.order_id BETWEEN t.order_id AND t.order_id
        ORDER BY known.order_id
        LIMIT 1
    ) IS NOT NULL
    AND (
        SELECT true
        FROM order_summary AS unlocked
        WHERE unlocked.order_id BETWEEN t.order_id AND t.order_id
        ORDER BY unlocked.order_id
        LIMIT 1
        FOR NO KEY UPDATE SKIP LOCKED
    ) IS NULL
