-- A validated CHECK cannot become NOT VALID again, so it is replaced.
SET LOCAL lock_timeout = '200ms';
ALTER TABLE order_summary DROP CONSTRAINT order_summary_currency_is_a_code;
ALTER TABLE order_summary
    ADD CONSTRAINT order_summary_currency_is_a_code CHECK (currency COLLATE "C" ~ '^[A-Z]{3}$') NOT VALID;
