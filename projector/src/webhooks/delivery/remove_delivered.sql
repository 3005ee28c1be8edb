-- remove_delivered
-- Removes deliveries that were accepted, unless another process has leased them since.
DELETE FROM deliveries
USING unnest($1, $2, $3) AS accepted (position, event_id, fence)
WHERE deliveries.endpoint = $4
    AND deliveries.position = accepted.position
    AND deliveries.event_id = accepted.event_id
    AND deliveries.fence = accepted.fence
