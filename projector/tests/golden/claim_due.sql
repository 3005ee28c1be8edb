SELECT id, kind, payload::text, created_at, attempts FROM parked_events WHERE next_attempt_at <= now() ORDER BY next_attempt_at, id LIMIT $1 FOR UPDATE SKIP LOCKED
