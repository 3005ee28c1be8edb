-- trigger_runs
-- Whether the trigger runs that logs each event that leaves the outbox. Nothing is claimed meanwhile.
SELECT EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = to_regclass('outbox') AND tgname = 'log_deleted_events' AND tgenabled IN ('O', 'A')
        AND current_setting('session_replication_role') <> 'replica'
)
