//! What commands print, and where their log goes.

use std::process::{Command, Stdio};

use anyhow::Result;
use serde_json::Value;

use crate::support::Scene;

/// Makes every program log a warning when it starts.
const WITHOUT_EFFECT: [(&str, &str); 2] =
    [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")];

#[tokio::test]
async fn the_log_of_a_command_is_on_standard_error_and_only_its_result_on_standard_output() -> Result<()> {
    let scene = Scene::create().await?;
    for arguments in [["log", "show"], ["parked", "list"], ["subscriptions", "list"], ["webhooks", "list"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_projector"));
        command.args(arguments).arg("--json").stdin(Stdio::null());
        command.env_clear().env("DATABASE_URL", scene.database.url("orders_projector")).envs(WITHOUT_EFFECT);
        let output = command.output()?;
        let (said, name) = (String::from_utf8(output.stderr)?, arguments.join(" "));
        assert!(output.status.success(), "{name}: {said}");
        let printed = serde_json::from_slice::<Value>(&output.stdout);
        assert!(printed.is_ok(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
        let warning = "variables of OpenTelemetry have no effect here";
        assert!(said.contains(warning) && said.contains("OTEL_EXPORTER_OTLP_COMPRESSION"), "{name}: {said}");
    }
    Ok(())
}
