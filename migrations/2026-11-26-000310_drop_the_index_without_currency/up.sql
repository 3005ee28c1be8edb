-- order_summary_of_customer has the same sort order and all its columns. It replaces this index.
DROP INDEX CONCURRENTLY order_summary_by_customer;
