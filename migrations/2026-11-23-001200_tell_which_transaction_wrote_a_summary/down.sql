ALTER TABLE order_summary DROP COLUMN changed_in;
