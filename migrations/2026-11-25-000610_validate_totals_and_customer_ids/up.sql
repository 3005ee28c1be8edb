-- In a transaction of its own: the previous migration holds an exclusive lock, and validation reads every row. It
-- blocks neither reads nor writes (SHARE UPDATE EXCLUSIVE). It fails if an order that breaks a rule was placed between
-- the count and the CHECKs.
ALTER TABLE orders VALIDATE CONSTRAINT orders_total_exact;
ALTER TABLE orders VALIDATE CONSTRAINT orders_customer_id_addressable;
