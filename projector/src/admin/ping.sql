-- ping
-- Whether the database replies. No table can keep it from that.
SELECT 1 AS one
