DROP INDEX parked_events_due;
