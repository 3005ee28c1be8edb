-- correct_holds
-- Ends holds that are longer than any is, and takes back what happened in the future: the clock was ahead. What the
-- receiver asked for may be long, other holds are pauses between probes.
UPDATE webhook_endpoints
SET hold_until = CASE
        WHEN hold_until <= latest_probe OR (hold_until <= asked_until AND asked_until <= latest) THEN hold_until
        WHEN asked_until <= latest THEN asked_until
        ELSE '-infinity'
    END,
    asked_until = CASE WHEN asked_until > latest THEN '-infinity' ELSE asked_until END,
    recovered_at = least(recovered_at, now())
FROM (
    SELECT
        $1::bigint AS endpoint,
        now() + $2 * interval '1 millisecond' AS latest,
        now() + $3 * interval '1 millisecond' AS latest_probe
) AS input
WHERE id = input.endpoint
    AND (hold_until > greatest(asked_until, latest_probe) OR asked_until > latest OR recovered_at > now())
