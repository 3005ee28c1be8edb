-- insert
-- Adds deliveries. One that waits already, because the feeder was set back, stays as it is.
INSERT INTO deliveries (endpoint, position, order_id, event_id, kind, payload, occurred_at, recorded_at)
SELECT $1, position, order_id, event_id, kind, payload::json, occurred_at, recorded_at
FROM unnest($2, $3, $4, $5, $6, $7, $8)
    AS t (position, order_id, event_id, kind, payload, occurred_at, recorded_at)
ON CONFLICT (endpoint, position, event_id) DO NOTHING
