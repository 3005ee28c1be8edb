-- remove_settled
-- Two processes that publish at once leave the lower position behind.
DELETE FROM event_log_settled
WHERE below < (SELECT below FROM event_log_settled ORDER BY below DESC LIMIT 1)
