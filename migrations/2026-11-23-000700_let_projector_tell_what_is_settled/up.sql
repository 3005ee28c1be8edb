-- The projector starts its claims behind the ids that are settled, which takes a look at the newest id that was drawn.
GRANT SELECT ON SEQUENCE outbox_id_seq TO orders_projector;
