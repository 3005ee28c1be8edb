-- Every row of the outbox is deleted soon after it was written, so that a share of its size says nothing about when
-- to vacuum it: a fixed number of dead rows does, and cleaning up without pauses keeps pace with the checkout.
--
-- Giving empty pages back to the file system would take an exclusive lock on the table that every checkout writes to.
-- The pages are used again instead.
ALTER TABLE outbox SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 100000,
    vacuum_truncate = false
);
