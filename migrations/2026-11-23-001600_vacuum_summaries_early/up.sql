-- Lists use index-only scans on vacuumed pages. Recent rows are read most, so vacuum runs after 1 % of the table has
-- changed, not 20 %.
ALTER TABLE order_summary SET (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_insert_scale_factor = 0.01,
    autovacuum_vacuum_cost_delay = 1
);
