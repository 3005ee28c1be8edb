-- postpone
-- Ends the leases of deliveries that failed. They are tried again later. The first failure may have been recorded while
-- the clock was ahead.
UPDATE deliveries
SET failures = failures + 1,
    first_failed_at = least(first_failed_at, now()),
    next_attempt_at = now() + retry_ms * interval '1 millisecond',
    leased_until = NULL
FROM unnest($1, $2, $3, $4) AS failed (position, event_id, fence, retry_ms)
WHERE deliveries.endpoint = $5
    AND deliveries.position = failed.position
    AND deliveries.event_id = failed.event_id
    AND deliveries.fence = failed.fence
