-- trigger_runs
-- Whether the trigger runs, in this session, that logs each event that leaves the outbox.
SELECT EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = to_regclass('outbox') AND tgname = 'log_deleted_events'
        AND (tgenabled = 'A' OR (tgenabled = 'O' AND current_setting('session_replication_role') <> 'replica'))
)
