-- In a transaction of its own: the previous migration holds an exclusive lock, and validation reads every row. It
-- blocks neither reads nor writes (SHARE UPDATE EXCLUSIVE).
ALTER TABLE order_summary VALIDATE CONSTRAINT order_summary_currency_is_a_code;
