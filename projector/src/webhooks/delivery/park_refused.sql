-- park_refused
-- Gives up deliveries that have been refused for too long. Later events of their orders go on. Nothing is given up
-- during an outage, and what failed in one for the first time counts from its end on: then the endpoint is at fault and
-- not the event. As in `remove_delivered`, by key. Returns their positions.
WITH given_up AS (
    DELETE FROM deliveries
    USING (
        SELECT delivery.ctid, t.error
        FROM (SELECT $1::bigint AS endpoint, now() - $2 * interval '1 millisecond' AS refused_before) AS input
        CROSS JOIN LATERAL (
            SELECT outage_since, recovered_at <= input.refused_before AS is_outage_long_over
            FROM webhook_endpoints
            WHERE id = input.endpoint
                AND state = 'active'
                AND (failing_since IS NULL OR failing_since > now() - interval '1 hour')
            -- OFFSET keeps this a search in the index, whatever the statistics say.
            OFFSET 0
        ) AS healthy
        CROSS JOIN unnest($3::bigint[], $4::uuid[], $5::bigint[], $6::text[]) AS t (position, event_id, fence, error)
        CROSS JOIN LATERAL (
            SELECT known.ctid
            FROM deliveries AS known
            WHERE known.endpoint = input.endpoint
                AND known.position BETWEEN t.position AND t.position
                AND known.event_id = t.event_id
                AND known.fence = t.fence
                AND known.first_failed_at <= input.refused_before
                -- A lull may look like an outage. What was refused before it has its time all the same.
                AND (
                    healthy.is_outage_long_over
                    OR known.first_failed_at < healthy.outage_since
                    -- Outages that follow each other within days are one. An event does not wait for the last of them.
                    OR known.first_failed_at < now() - interval '9 days'
                )
            ORDER BY known.position
            FOR UPDATE
        ) AS delivery
    ) AS refused
    WHERE deliveries.ctid = refused.ctid
    RETURNING position, kind, payload, recorded_at, traceparent, failures, error
),
parked AS (
    INSERT INTO subscription_parked (
        subscription, position, kind, payload, recorded_at, traceparent, attempts, error, next_attempt_at
    )
    SELECT $7, position, kind, payload, recorded_at, traceparent, failures + 1, error, NULL
    FROM given_up
)
SELECT position FROM given_up
