ALTER TABLE order_summary RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_insert_scale_factor,
    autovacuum_vacuum_cost_delay
);
