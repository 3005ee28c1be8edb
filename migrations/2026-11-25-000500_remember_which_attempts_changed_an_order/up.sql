-- If a writer loses the connection during a commit, the random id of its attempt shows whether the commit took place,
-- even after later changes. The newest id comes first; the last eight are kept. Writers of older builds do not change
-- the column.
--
-- This statement gives up after 200 ms: other sessions queue behind it, and they give up after 300 ms
-- (DATABASE_LOCK_TIMEOUT_MS).
SET LOCAL lock_timeout = '200ms';
ALTER TABLE orders ADD COLUMN write_attempts bigint[];
