-- Stores a batch of orders, each with its event: what write-api sends is one call. Until now it sent one statement with
-- several modifications, which Citus does not plan. The name carries a version: a change adds the next one, and drops
-- this one a release later, so that the processes of both releases work meanwhile.
--
-- It has the rights and the search_path of its caller, as a statement: it stays right when its schema is renamed. The
-- source is save_batch_1.sql of write-api; a test compares it.
CREATE FUNCTION save_batch_1(
    new_order_ids uuid[], new_attempt_ids bigint[], new_kinds text[], new_payloads text[], new_traceparents text[],
    new_customer_ids text[], new_items text[], new_currencies text[], new_totals bigint[], new_placed_at timestamptz[],
    step_order_ids uuid[], step_attempt_ids bigint[], step_kinds text[], step_payloads text[], step_traceparents text[],
    step_versions integer[], step_statuses text[], step_updated_at timestamptz[],
    step_carriers text[], step_tracking_numbers text[], step_cancel_reasons text[],
    step_paid_at timestamptz[], step_shipped_at timestamptz[], step_delivered_at timestamptz[],
    step_cancelled_at timestamptz[]
) RETURNS uuid[]
    LANGUAGE plpgsql
    -- Citus plans INSERT … SELECT for its parameters only. PostgreSQL keeps generic plans: they look cheaper here.
    SET plan_cache_mode = auto
    AS $$
DECLARE
    placed  uuid[];
    changed uuid[];
BEGIN
    -- An order whose id is taken is left out. If another transaction is inserting the same id, this waits for it; the
    -- input is sorted by id, so two batches cannot deadlock.
    IF cardinality(new_order_ids) > 0 THEN
        WITH inserted AS (
            INSERT INTO orders (
                order_id, customer_id, items, currency, total_cents, status, version, placed_at, updated_at,
                write_attempts
            )
            SELECT
                order_id, customer_id, items::jsonb, currency, total_cents, 'placed', 1, placed_at, placed_at,
                ARRAY[attempt_id]
            FROM unnest(
                new_order_ids, new_attempt_ids, new_customer_ids, new_items, new_currencies, new_totals, new_placed_at
            ) AS t (order_id, attempt_id, customer_id, items, currency, total_cents, placed_at)
            ON CONFLICT (order_id) DO NOTHING
            RETURNING order_id
        )
        SELECT array_agg(order_id) INTO placed FROM inserted;
    END IF;

    IF cardinality(step_order_ids) > 0 THEN
        -- Joins on ctid: nobody can update a locked row, so its ctid stays. A ctid is unique within one table only: do
        -- not partition `orders`.
        WITH updated AS (
            UPDATE orders AS o
            SET status = locked_here.status,
                version = locked_here.version,
                updated_at = locked_here.updated_at,
                -- The aggregate was read with all facts of the version before, which can change only with the version.
                carrier = locked_here.carrier,
                tracking_number = locked_here.tracking_number,
                cancel_reason = locked_here.cancel_reason,
                paid_at = locked_here.paid_at,
                shipped_at = locked_here.shipped_at,
                delivered_at = locked_here.delivered_at,
                cancelled_at = locked_here.cancelled_at,
                write_attempts = locked_here.write_attempts
            FROM (
                SELECT step.*, found.ctid, found.write_attempts
                FROM (
                    SELECT *
                    FROM unnest(
                        step_order_ids, step_attempt_ids, step_versions, step_statuses, step_updated_at,
                        step_carriers, step_tracking_numbers, step_cancel_reasons,
                        step_paid_at, step_shipped_at, step_delivered_at, step_cancelled_at
                    ) AS t (
                        order_id, attempt_id, version, status, updated_at,
                        carrier, tracking_number, cancel_reason, paid_at, shipped_at, delivered_at, cancelled_at
                    )
                    -- Leaves out nothing. A generic plan expects one row for it, and is never given up for one that is
                    -- made for each batch.
                    LIMIT cardinality(step_order_ids)
                ) AS step
                -- Locks the rows that still have the version that the change was computed from. Rows that another
                -- session has locked are skipped: waiting for them would delay the rest of the batch. The planner never
                -- turns a LATERAL subquery that locks rows into a join, so no plan scans all of `orders`, not even one
                -- that was made while the table was empty.
                CROSS JOIN LATERAL (
                    SELECT known.ctid, (step.attempt_id || known.write_attempts)[1:8] AS write_attempts
                    FROM orders AS known
                    WHERE known.order_id = step.order_id AND known.version = step.version - 1
                    FOR UPDATE SKIP LOCKED
                ) AS found
            ) AS locked_here
            -- If another transaction updated the row after this statement's snapshot, the lock is on the new row
            -- version, which the statement cannot see: it does not update the row.
            WHERE o.ctid = locked_here.ctid
            RETURNING o.order_id
        )
        SELECT array_agg(order_id) INTO changed FROM updated;
    END IF;

    -- Only saved orders get an event.
    IF coalesce(cardinality(placed), 0) < cardinality(new_order_ids) THEN
        SELECT array_agg(kind), array_agg(payload), array_agg(traceparent)
        INTO new_kinds, new_payloads, new_traceparents
        FROM unnest(new_order_ids, new_kinds, new_payloads, new_traceparents)
            AS t (order_id, kind, payload, traceparent)
        WHERE order_id = ANY(placed);
    END IF;
    IF coalesce(cardinality(changed), 0) < cardinality(step_order_ids) THEN
        SELECT array_agg(kind), array_agg(payload), array_agg(traceparent)
        INTO step_kinds, step_payloads, step_traceparents
        FROM unnest(step_order_ids, step_kinds, step_payloads, step_traceparents)
            AS t (order_id, kind, payload, traceparent)
        WHERE order_id = ANY(changed);
    END IF;
    -- The transaction has its xid before it allocates an outbox id: without a saved order there is no event. The
    -- projector's low-water mark relies on that.
    INSERT INTO outbox (kind, payload, traceparent)
    SELECT kind, payload::json, traceparent
    FROM unnest(new_kinds || step_kinds, new_payloads || step_payloads, new_traceparents || step_traceparents)
        AS event (kind, payload, traceparent);

    RETURN placed || changed;
END
$$;

REVOKE EXECUTE ON FUNCTION save_batch_1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION save_batch_1 TO orders_write;
