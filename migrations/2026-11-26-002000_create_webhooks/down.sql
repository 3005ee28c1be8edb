-- Deliveries that wait are lost; the receivers can be filled from the event log again.
DROP TABLE webhook_attempts;
DROP TABLE deliveries;
DROP TABLE webhook_secrets;
DROP TABLE webhook_endpoints;
