-- is_any_waiting
SELECT EXISTS (SELECT FROM waiting_events)
