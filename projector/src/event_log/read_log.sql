-- read_log
-- The events of the log after a position, up to a number of events and of payload bytes, with what decides which of
-- them may be delivered. One snapshot shows all of it. The first and the last parameter are the same position: each
-- parameter occurs once in a file.
WITH logged AS MATERIALIZED (
    SELECT
        *,
        row_number() OVER in_order AS number,
        sum(octet_length(payload)) OVER in_order AS bytes_so_far
    FROM (
        SELECT position, kind, payload::text AS payload, traceparent, recorded_at
        FROM event_log
        WHERE position > $1
        ORDER BY position
        LIMIT $2
    ) AS next
    WINDOW in_order AS (ORDER BY position ROWS UNBOUNDED PRECEDING)
), fitting AS MATERIALIZED (
    -- The first event is read even if it is larger than the limit.
    SELECT *
    FROM logged
    WHERE bytes_so_far <= $3 OR number = 1
)
SELECT
    log.missing_up_to,
    log.history,
    settled.below,
    -- The lowest event that has not left the outbox, of those that a reader might otherwise take for a hole.
    (
        SELECT id
        FROM outbox
        WHERE id > $4 AND id < least(settled.below, (SELECT max(position) FROM fitting))
        ORDER BY id
        LIMIT 1
    ),
    (SELECT count(*) FROM logged),
    fitting.position, fitting.kind, fitting.payload, fitting.traceparent, fitting.recorded_at
FROM event_log_state AS log
CROSS JOIN (SELECT below FROM event_log_settled ORDER BY below DESC LIMIT 1) AS settled
LEFT JOIN fitting ON true
