-- Serves "what has changed since I last looked". New entries all go to its end.
CREATE INDEX CONCURRENTLY order_summary_changes ON order_summary (changed_in);
