//! Processes of both builds on one database.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;

/// Whose binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Build {
    Previous,
    Current,
}

pub(super) struct Fleet {
    pub(super) database: TestDatabase,
    previous: ServiceBinaries,
    current: &'static ServiceBinaries,
    logs: tempfile::TempDir,
}

impl Fleet {
    pub(super) async fn new(database: TestDatabase, previous: ServiceBinaries) -> Result<Self> {
        let current = ServiceBinaries::built().await?;
        Ok(Self { database, previous, current, logs: tempfile::tempdir()? })
    }

    fn program(&self, kind: ServiceKind, build: Build) -> PathBuf {
        match build {
            Build::Previous => self.previous.program(kind),
            Build::Current => self.current.program(kind),
        }
    }

    pub(super) async fn start(&self, kind: ServiceKind, build: Build) -> Result<Service> {
        let logs = self.logs.path().join(format!("{build:?}"));
        std::fs::create_dir_all(&logs)?;
        let program = self.program(kind, build);
        let mut service = Service::start(kind, &program, &self.database.url(kind.role()), 0, &logs)?;
        service.wait_until_ready().await?;
        Ok(service)
    }

    /// `write-api republish`.
    pub(super) async fn republish(&self, build: Build) -> Result<()> {
        let mut command = tokio::process::Command::new(self.program(ServiceKind::WriteApi, build));
        command.arg("republish").env("DATABASE_URL", self.database.url("orders_write_api"));
        let output = command.output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// Stops it as a roll-out does: it finishes what it has accepted.
pub(super) async fn stop(service: Service) -> Result<()> {
    let status = tokio::task::spawn_blocking(move || service.stop()).await??;
    ensure!(status.success(), "{status}");
    Ok(())
}
