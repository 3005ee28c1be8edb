-- observe_parked
-- How many parked events are retried, and how many are left for an operator.
SELECT count(next_attempt_at) AS retrying, count(*) - count(next_attempt_at) AS left_for_operator
FROM parked_events
