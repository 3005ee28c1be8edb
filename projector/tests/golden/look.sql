SELECT settled, CASE WHEN settled THEN (SELECT id FROM outbox WHERE id >= $1 ORDER BY id LIMIT 1) END FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= $2 AS settled) AS snapshot
