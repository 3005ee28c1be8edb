-- keep_endpoints
-- Locks endpoints as the foreign key of `deliveries` does, but waits for nobody: only a session that removes an
-- endpoint is in the way, or one that has locked it by hand.
SELECT id
FROM webhook_endpoints
WHERE id = ANY($1)
ORDER BY id
FOR KEY SHARE SKIP LOCKED
