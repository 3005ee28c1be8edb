//! The processes of a cell, which can be replaced while they are used.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tempfile::TempDir;

use crate::services::{Service, ServiceBinaries, ServiceKind};

/// One of each kind.
#[derive(Debug)]
pub(super) struct Processes {
    running: Mutex<Vec<Service>>,
    logs: TempDir,
}

impl Processes {
    pub(super) async fn start(url_of: &impl Fn(&str) -> String) -> Result<Self> {
        let processes = Self { running: Mutex::default(), logs: tempfile::tempdir()? };
        for kind in ServiceKind::ALL {
            processes.restart(kind, url_of).await?;
        }
        Ok(processes)
    }

    /// Starts one, in place of the one that runs, if any. The new one gets requests as soon as it is ready. Those of
    /// the old one end before it does.
    pub(super) async fn restart(&self, kind: ServiceKind, url_of: &impl Fn(&str) -> String) -> Result<()> {
        let new = self.start_one(kind, url_of).await?;
        stop_one(self.replace(kind, Some(new))).await
    }

    pub(super) async fn stop(&self, kind: ServiceKind) -> Result<()> {
        stop_one(self.replace(kind, None)).await
    }

    /// Returns the one before.
    fn replace(&self, kind: ServiceKind, new: Option<Service>) -> Option<Service> {
        let mut running = self.lock();
        let old = running.iter().position(|old| old.kind() == kind).map(|old| running.swap_remove(old));
        running.extend(new);
        old
    }

    /// The address of its API; empty if there is none.
    pub(super) fn url(&self, kind: ServiceKind) -> String {
        self.lock().iter().find(|one| one.kind() == kind).map(|one| one.url().to_owned()).unwrap_or_default()
    }

    /// The address of its probes; empty if there is none.
    pub(super) fn admin_url(&self, kind: ServiceKind) -> String {
        let running = self.lock();
        running
            .iter()
            .find(|one| one.kind() == kind)
            .map(|one| one.admin_url().to_owned())
            .unwrap_or_default()
    }

    async fn start_one(&self, kind: ServiceKind, url_of: &impl Fn(&str) -> String) -> Result<Service> {
        let program = ServiceBinaries::built().await?.program(kind);
        // What a process has leased when it loses its database is sent again after about this time.
        let variables = [("WEBHOOK_ALLOW_PRIVATE", "true"), ("WEBHOOK_TIMEOUT_MS", "2000")];
        let url = url_of(kind.role());
        let mut service = Service::start_with(&variables, kind, &program, &url, 0, self.logs.path())?;
        service.wait_until_ready().await?;
        Ok(service)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Service>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn stop_one(service: Option<Service>) -> Result<()> {
    if let Some(service) = service {
        tokio::task::spawn_blocking(move || service.stop()).await??;
    }
    Ok(())
}
