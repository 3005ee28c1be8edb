-- Serves "which rows changed since the last poll". New entries are appended at its end.
CREATE INDEX CONCURRENTLY order_summary_changes ON order_summary (changed_in);
