//! The binaries, built once for all tests of this program.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use local::services::{Service, ServiceBinaries, ServiceKind};
use local::test_database::TestDatabase;
use tokio::sync::OnceCell;

/// The three services, fresh: cargo builds them for the tests of their own packages only.
pub(crate) async fn binaries() -> Result<&'static ServiceBinaries> {
    static BUILT: OnceCell<ServiceBinaries> = OnceCell::const_new();
    BUILT.get_or_try_init(|| async { ServiceBinaries::build().await.context("building the services") }).await
}

/// A database and the services on it; all of them end with this value.
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

    pub(crate) async fn start_projector(&self) -> Result<Service> {
        start(ServiceKind::Projector, &self.database, self.logs.path()).await
    }
}

async fn start(kind: ServiceKind, database: &TestDatabase, logs: &Path) -> Result<Service> {
    let program: PathBuf = binaries().await?.program(kind);
    let mut service = Service::start(kind, &program, &database.url(kind.role()), 0, logs)?;
    service.wait_until_ready().await?;
    Ok(service)
}

/// Where this process is root the server runs as somebody else, who must be able to reach the directory.
pub(crate) fn open_to_the_servers_user(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))?)
}
