-- open_transactions
-- The open transactions in these ranges. Works on a standby, too.
SELECT xid
FROM unnest($1, $2) AS t (first, "end")
CROSS JOIN LATERAL generate_series(t.first, t."end" - 1) AS xid
WHERE pg_xact_status(xid::text::xid8) = 'in progress'
