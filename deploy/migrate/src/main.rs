//! `migrate up | down | status`: what deployments run before they start a new version.

use clap::{Parser, Subcommand};

/// Brings the database to the schema of this build, or back.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Connects as the role that owns the tables and may create roles.
    #[arg(long, env, hide_env_values = true)]
    database_url: String,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Clone, Copy)]
enum Command {
    /// Apply what is pending (the default).
    Up,
    /// Revert the newest migrations.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: usize,
    },
    /// Exit with status 1 while something is pending.
    Status,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    service_kit::telemetry::init(&service_kit::config::vars_of_process())?;
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Up) {
        Command::Up => report("applied", &migrate::up(&cli.database_url).await?),
        Command::Down { steps } => report("reverted", &migrate::down(&cli.database_url, steps).await?),
        Command::Status => {
            let pending = migrate::pending(&cli.database_url).await?;
            anyhow::ensure!(pending.is_empty(), "pending: {}", pending.join(", "));
            report("applied", &[]);
        }
    }
    Ok(())
}

fn report(what: &str, steps: &[migrate::Step]) {
    for step in steps {
        let duration_ms = u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(migration.name = step.name, duration_ms, "migration {what}");
    }
    if steps.is_empty() {
        tracing::info!("nothing to do: the database has the schema of this build");
    }
}
