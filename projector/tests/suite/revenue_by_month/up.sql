CREATE TABLE revenue_by_month (
    month         date   PRIMARY KEY,
    revenue_cents bigint NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON revenue_by_month TO orders_projector;
