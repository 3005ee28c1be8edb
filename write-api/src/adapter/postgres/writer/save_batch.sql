-- save_batch
-- Stores any number of orders, each with its event, and returns the ids of the stored orders. Row locks last until the
-- commit. New orders and steps have arrays of their own: unnesting a column costs time even where it is NULL. The
-- function is in save_batch_1.sql: Citus plans its statements one by one, but not all of them as one statement.
SELECT unnest(save_batch_1(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
    $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25
))
