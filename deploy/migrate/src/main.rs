//! `migrate up | down | status`: deployments run it before they start a new version.

use clap::{Parser, Subcommand};

/// Applies or reverts the migrations of this build.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// URL of the database, with a role that owns the tables and may create roles.
    #[arg(long, env, hide_env_values = true)]
    database_url: String,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Clone, Copy)]
enum Command {
    /// Apply all pending migrations (the default).
    Up,
    /// Revert the newest migrations.
    Down {
        /// Number of migrations to revert.
        #[arg(long, default_value_t = 1)]
        steps: usize,
    },
    /// List pending migrations, and exit with status 1 if there are any.
    Status,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    service_kit::telemetry::init(&service_kit::config::vars_of_process())?;
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Up) {
        Command::Up => report("applied", &migrate::up(&cli.database_url).await?, "nothing to apply"),
        Command::Down { steps } => {
            report("reverted", &migrate::down(&cli.database_url, steps).await?, "nothing to revert");
        }
        Command::Status => {
            let pending = migrate::pending(&cli.database_url).await?;
            anyhow::ensure!(pending.is_empty(), "pending: {}", pending.join(", "));
            tracing::info!("no migration is pending");
        }
    }
    Ok(())
}

fn report(what: &str, steps: &[migrate::Step], if_none: &str) {
    for step in steps {
        let duration_ms = u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(migration.name = step.name, duration_ms, "migration {what}");
    }
    if steps.is_empty() {
        tracing::info!("{if_none}");
    }
}
