-- order_summary_by_customer has the same order.
DROP INDEX CONCURRENTLY order_summary_recent;
