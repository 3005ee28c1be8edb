//! The system for most tests.

use std::path::{Path, PathBuf};

use anyhow::Result;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;

/// A database and its services. Dropping it ends all.
pub(crate) struct System {
    pub(crate) write: Service,
    pub(crate) read: Service,
    pub(crate) database: TestDatabase,
    pub(crate) logs: tempfile::TempDir,
}

impl System {
    /// Both APIs, without a projector.
    pub(crate) async fn start() -> Result<Self> {
        let database = TestDatabase::create().await?;
        let logs = tempfile::tempdir()?;
        let write = start(ServiceKind::WriteApi, &database, logs.path()).await?;
        let read = start(ServiceKind::ReadApi, &database, logs.path()).await?;
        Ok(Self { write, read, database, logs })
    }

    /// Ends write-api as a crash does, and starts another one.
    pub(crate) async fn kill_and_restart_write_api(&mut self) -> Result<()> {
        let new = start(ServiceKind::WriteApi, &self.database, self.logs.path()).await?;
        std::mem::replace(&mut self.write, new).kill();
        Ok(())
    }

    pub(crate) async fn start_projector(&self) -> Result<Service> {
        start(ServiceKind::Projector, &self.database, self.logs.path()).await
    }
}

async fn start(kind: ServiceKind, database: &TestDatabase, logs: &Path) -> Result<Service> {
    let program: PathBuf = ServiceBinaries::built().await?.program(kind);
    let mut service = Service::start(kind, &program, &database.url(kind.role()), 0, logs)?;
    service.wait_until_ready().await?;
    Ok(service)
}
