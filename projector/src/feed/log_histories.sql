-- log_histories
-- The histories that the log has seen, in order, each with what checkpoints are compared with. One snapshot shows all.
SELECT
    state.history,
    state.missing_up_to,
    (SELECT below FROM event_log_settled ORDER BY below DESC LIMIT 1),
    coalesce((SELECT position FROM event_log ORDER BY position DESC LIMIT 1), 0),
    -- The sequence is behind the log after Citus has moved the cell to another node.
    greatest(
        (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM outbox_id_seq),
        (SELECT position FROM event_log ORDER BY position DESC LIMIT 1)
    ),
    -- This server has begun another history, but has logged nothing in it yet.
    current_history() <> state.history,
    seen.history,
    seen.after_position
FROM event_log_state AS state
LEFT JOIN event_log_histories AS seen ON true
ORDER BY seen.number
