-- Lists are read from the index alone where vacuum has passed. Most rows that are looked at are new, so that vacuum comes
-- after each hundredth part of the table rather than after a fifth.
ALTER TABLE order_summary SET (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_insert_scale_factor = 0.01,
    autovacuum_vacuum_cost_delay = 1
);
