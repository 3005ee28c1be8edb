-- remove_delivered
-- Removes deliveries that were accepted, unless another process has leased them since. LATERAL with a lock, and then by
-- ctid: the planner never turns this into a join that reads all deliveries of the endpoint. BETWEEN and the order leave
-- it only the primary key: no other index of the endpoint's deliveries.
DELETE FROM deliveries
USING (
    SELECT delivery.ctid
    FROM (SELECT $1::bigint AS endpoint) AS input
    CROSS JOIN unnest($2::bigint[], $3::uuid[], $4::bigint[]) AS t (position, event_id, fence)
    CROSS JOIN LATERAL (
        SELECT known.ctid
        FROM deliveries AS known
        WHERE known.endpoint = input.endpoint
            AND known.position BETWEEN t.position AND t.position
            AND known.event_id = t.event_id
            AND known.fence = t.fence
        ORDER BY known.position
        FOR UPDATE
    ) AS delivery
) AS accepted
WHERE deliveries.ctid = accepted.ctid
