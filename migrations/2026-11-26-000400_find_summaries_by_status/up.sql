-- Serves "the orders of all customers in these statuses, newest first" in order: one scan per status, merged. Not
-- covering: such a list has few readers, and each step of an order writes to this index.
CREATE INDEX CONCURRENTLY order_summary_by_status ON order_summary (status, placed_at DESC, order_id DESC);
