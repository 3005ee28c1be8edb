DROP INDEX CONCURRENTLY order_summary_changes;
