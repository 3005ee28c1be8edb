-- order_summary_by_customer has the same sort order and replaces it.
DROP INDEX CONCURRENTLY order_summary_recent;
