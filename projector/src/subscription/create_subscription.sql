-- create_subscription
-- While events are not logged, no position is safe: nothing is created.
INSERT INTO subscriptions (name, checkpoint, history)
SELECT
    $1,
    CASE
        WHEN $2
        THEN greatest(missing_up_to, (SELECT position FROM event_log ORDER BY position DESC LIMIT 1))
        ELSE missing_up_to
    END,
    history
FROM event_log_state
WHERE missing_up_to < 9223372036854775807
ON CONFLICT (name) DO NOTHING
