-- newest_settled
-- How far a reader can have come: every event up to this position is in the log, or never will be.
SELECT greatest(
    log.missing_up_to,
    least(
        settled.up_to + run.length,
        -- After a failover, positions behind the newest event are allocated again.
        coalesce((SELECT position FROM event_log ORDER BY position DESC LIMIT 1), 0)
    )
)
FROM event_log_state AS log
CROSS JOIN LATERAL (
    SELECT greatest(log.missing_up_to, below - 1) AS up_to
    FROM event_log_settled
    ORDER BY below DESC
    LIMIT 1
) AS settled
CROSS JOIN LATERAL (
    -- The run behind it without a hole is safe as it is. Positions are unique.
    SELECT count(*) FILTER (WHERE position = settled.up_to + number) AS length
    FROM (
        SELECT position, row_number() OVER (ORDER BY position) AS number
        FROM (
            SELECT position
            FROM event_log
            WHERE position > settled.up_to
            ORDER BY position
            -- Usually it has the events of some seconds.
            LIMIT 100000
        ) AS next
    ) AS numbered
) AS run
