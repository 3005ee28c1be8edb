-- The projector's privileges belong to its group role, so that both roles of the projector have them. And since the
-- product's `2026-11-27-000200`, a role may connect only if that is granted.
GRANT USAGE ON SCHEMA revenue_1 TO orders_projection;
GRANT SELECT, INSERT, UPDATE ON revenue_1.orders, revenue_1.by_month, revenue_1.by_sku TO orders_projection;
REVOKE ALL ON revenue_1.orders, revenue_1.by_month, revenue_1.by_sku FROM orders_projector;
REVOKE USAGE ON SCHEMA revenue_1 FROM orders_projector;

DO $$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO orders_revenue', current_database());
END
$$;
