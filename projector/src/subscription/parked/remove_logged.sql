-- remove_logged
-- By ctid, as in park_logged_again.
DELETE FROM subscription_parked
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
