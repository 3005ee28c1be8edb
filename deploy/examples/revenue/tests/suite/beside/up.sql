-- The changed read model: also by week. Its projection is written in another way than the first, so that the comparison
-- finds the faults of either.
CREATE SCHEMA revenue_2;
CREATE TABLE revenue_2.orders (LIKE revenue_1.orders INCLUDING ALL);
ALTER TABLE revenue_2.orders ADD COLUMN paid_week text;
CREATE TABLE revenue_2.by_month (LIKE revenue_1.by_month INCLUDING ALL);
CREATE TABLE revenue_2.by_sku (LIKE revenue_1.by_sku INCLUDING ALL);
CREATE TABLE revenue_2.by_week (
    week          text,
    currency      text,
    orders        bigint  NOT NULL,
    revenue_cents numeric NOT NULL,

    PRIMARY KEY (week, currency)
);

-- Adds what an order contributes, or takes it out (-1).
CREATE FUNCTION revenue_2.add_order(counted uuid, times integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO revenue_2.by_month AS m (month, currency, orders, revenue_cents)
    SELECT coalesce(o.paid_month, ''), coalesce(o.currency, ''), times, o.total_cents::numeric * times
    FROM revenue_2.orders AS o
    WHERE o.order_id = counted AND o.status IN ('paid', 'shipped', 'delivered')
    ON CONFLICT (month, currency) DO UPDATE
    SET orders = m.orders + EXCLUDED.orders, revenue_cents = m.revenue_cents + EXCLUDED.revenue_cents;

    INSERT INTO revenue_2.by_week AS w (week, currency, orders, revenue_cents)
    SELECT coalesce(o.paid_week, ''), coalesce(o.currency, ''), times, o.total_cents::numeric * times
    FROM revenue_2.orders AS o
    WHERE o.order_id = counted AND o.status IN ('paid', 'shipped', 'delivered')
    ON CONFLICT (week, currency) DO UPDATE
    SET orders = w.orders + EXCLUDED.orders, revenue_cents = w.revenue_cents + EXCLUDED.revenue_cents;

    INSERT INTO revenue_2.by_sku AS s (sku, orders, units)
    SELECT u.key, times, u.value::bigint * times
    FROM revenue_2.orders AS o, jsonb_each_text(o.units) AS u
    WHERE o.order_id = counted AND o.status <> 'cancelled'
    ON CONFLICT (sku) DO UPDATE SET orders = s.orders + EXCLUDED.orders, units = s.units + EXCLUDED.units;
END
$$;

CREATE FUNCTION revenue_2.learn(said revenue_2.orders) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM revenue_2.add_order(said.order_id, -1);
    INSERT INTO revenue_2.orders AS o SELECT said.*
    ON CONFLICT (order_id) DO UPDATE
    SET version = greatest(o.version, EXCLUDED.version),
        status = CASE WHEN EXCLUDED.version > o.version THEN EXCLUDED.status ELSE o.status END,
        total_cents = CASE WHEN EXCLUDED.version > o.version THEN EXCLUDED.total_cents ELSE o.total_cents END,
        paid_month = least(o.paid_month, EXCLUDED.paid_month),
        paid_week = least(o.paid_week, EXCLUDED.paid_week),
        currency = least(o.currency, EXCLUDED.currency),
        units = coalesce(o.units, EXCLUDED.units);
    PERFORM revenue_2.add_order(said.order_id, 1);
END
$$;

GRANT USAGE ON SCHEMA revenue_2 TO orders_projection;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA revenue_2 TO orders_projection;
