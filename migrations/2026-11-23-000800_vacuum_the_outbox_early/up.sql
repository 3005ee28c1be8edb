-- Every outbox row is deleted soon after it was written, so a fraction of the table's size is a poor trigger for
-- vacuum. A fixed number of dead rows triggers it instead, and without cost delay vacuum keeps up with the writers.
--
-- Truncation is off: it would take an exclusive lock on a table that every write needs. Empty pages are reused instead.
ALTER TABLE outbox SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 100000,
    vacuum_truncate = false
);
