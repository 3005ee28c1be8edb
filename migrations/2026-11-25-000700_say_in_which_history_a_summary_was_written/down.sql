SET LOCAL lock_timeout = '200ms';
ALTER TABLE order_summary DROP COLUMN history;
DROP FUNCTION current_history();
