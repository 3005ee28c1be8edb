-- record_success
-- Something was accepted. If nothing had failed, nothing is written here: row versions stay while a transaction
-- elsewhere keeps PostgreSQL from removing them. The attempts say when the last success was. After an outage, what
-- failed in it for the first time gets its full time again: it was the endpoint's fault. Outages that are closer
-- to each other than that time count as one: else it would be given up at once after the second one.
UPDATE webhook_endpoints
SET failures = 0,
    failing_since = NULL,
    -- The pauses between probes end. Not what the receiver has asked for.
    hold_until = least(hold_until, asked_until),
    (outage_since, recovered_at) = (
        SELECT
            CASE WHEN is_over AND NOT is_one_with_the_last THEN failing_since ELSE outage_since END,
            CASE WHEN is_over THEN now() ELSE recovered_at END
        FROM (
            SELECT
                failing_since <= now() - $1 * interval '1 millisecond' AND failures >= $2,
                recovered_at >= now() - $3 * interval '1 millisecond'
        ) AS outage (is_over, is_one_with_the_last)
    )
WHERE id = $4 AND failures > 0
