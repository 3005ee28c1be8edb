-- park
-- Parks events that were claimed from the outbox or among the waiting events.
WITH event AS MATERIALIZED (
    SELECT
        -- An id that is taken becomes a negative one. BETWEEN with ORDER BY can use only the primary key. EXISTS,
        -- planned while the table was empty, would read the whole table for each batch.
        CASE
            WHEN (
                SELECT true
                FROM parked_events AS known
                WHERE known.id BETWEEN t.id AND t.id
                ORDER BY known.id
                LIMIT 1
            ) IS NOT NULL
            THEN least(0, (SELECT min(id) FROM parked_events)) - row_number() OVER ()
            ELSE id
        END AS id,
        kind, payload, created_at, traceparent, attempts, error, retry_in_ms
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
        AS t (id, attempts, error, retry_in_ms, kind, payload, created_at, traceparent)
)
INSERT INTO parked_events (id, kind, payload, created_at, traceparent, attempts, error, next_attempt_at)
SELECT
    id, kind, payload::json, created_at, traceparent, attempts, error, now() + retry_in_ms * interval '1 millisecond'
FROM event
