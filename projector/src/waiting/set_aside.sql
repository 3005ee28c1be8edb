-- set_aside
-- Sets aside events that were claimed from the outbox.
WITH event AS MATERIALIZED (
    SELECT
        -- An id that is taken becomes a negative one. BETWEEN with ORDER BY can use only the primary key. EXISTS,
        -- planned while the table was empty, would read the whole table for each batch.
        CASE
            WHEN (
                SELECT true
                FROM waiting_events AS known
                WHERE known.id BETWEEN t.id AND t.id
                ORDER BY known.id
                LIMIT 1
            ) IS NOT NULL
            THEN least(0, (SELECT min(id) FROM waiting_events)) - row_number() OVER ()
            ELSE id
        END AS id,
        order_id, version, kind, payload, created_at, traceparent
    FROM unnest($1, $2, $3, $4, $5, $6, $7) AS t (id, order_id, version, kind, payload, created_at, traceparent)
)
INSERT INTO waiting_events (id, order_id, version, kind, payload, created_at, traceparent)
SELECT id, order_id, version, kind, payload::json, created_at, traceparent
FROM event
