-- postpone_logged
-- Their rows are locked, which is not a failed attempt. By ctid, as in park_logged_again.
UPDATE subscription_parked
SET next_attempt_at = now() + interval '500 milliseconds'
WHERE ctid = ANY(ARRAY(
    SELECT event.ctid
    FROM unnest($1) AS t (id)
    CROSS JOIN LATERAL (
        SELECT known.ctid
        FROM subscription_parked AS known
        WHERE known.id BETWEEN t.id AND t.id
        ORDER BY known.id
        LIMIT 1
        FOR UPDATE
    ) AS event
))
