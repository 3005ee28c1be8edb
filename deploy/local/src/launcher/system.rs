//! The services.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use testkit::database::Database;
use testkit::services::{Operator, Service, ServiceBinaries, ServiceKind};

use super::ports::{Pair, Ports};
use super::print_line;

/// The product's, or that of the example in its place.
const PROJECTORS: [ServiceKind; 2] = [ServiceKind::Projector, ServiceKind::RevenueProjector];

/// The services. They are dropped, and so stopped, before their database.
pub(super) struct System {
    services: Vec<Service>,
}

impl System {
    pub(super) async fn start(
        kinds: &[ServiceKind],
        binaries: &ServiceBinaries,
        database: &Database,
        ports: &Ports,
        variables: &[(String, String)],
    ) -> Result<Self> {
        let mut system = Self { services: Vec::new() };
        let width =
            kinds.iter().map(|kind| kind.name().len()).max().unwrap_or_default().max("migrations".len());
        for kind in kinds {
            let service = start_service(*kind, &binaries.program(*kind), database, ports, variables).await?;
            print_line(
                format!("{:<width$}  {:<21}  probes {}", kind.name(), service.url(), service.admin_url())
                    .as_str(),
            )?;
            system.services.push(service);
        }
        Ok(system)
    }

    /// Empty if there is no such service.
    pub(super) fn url(&self, kind: ServiceKind) -> &str {
        self.find(&[kind]).map(Service::url).unwrap_or_default()
    }

    pub(super) fn feed_url(&self) -> &str {
        self.find(&PROJECTORS).map(Service::url).unwrap_or_default()
    }

    /// The commands of the projector, with its rights.
    pub(super) fn operator(&self, binaries: &ServiceBinaries, database: &Database) -> Result<Operator> {
        let kind = self.find(&PROJECTORS).context("there is no projector")?.kind();
        Ok(Operator::new(binaries.program(kind), database.url_for(kind.role())?))
    }

    pub(super) fn admin_url(&self, kind: ServiceKind) -> &str {
        self.find(&[kind]).map(Service::admin_url).unwrap_or_default()
    }

    pub(super) fn projector_admin_url(&self) -> &str {
        self.find(&PROJECTORS).map(Service::admin_url).unwrap_or_default()
    }

    /// Returns an error if a service has ended.
    pub(super) fn check_running(&mut self) -> Result<()> {
        for service in &mut self.services {
            ensure!(service.is_running(), "{} has ended", service.kind().name());
        }
        Ok(())
    }

    /// The service of one of these kinds.
    fn find(&self, kinds: &[ServiceKind]) -> Option<&Service> {
        self.services.iter().find(|service| kinds.contains(&service.kind()))
    }

    /// Signals all services first, then waits for them.
    pub(super) fn stop(self) -> Result<()> {
        self.services.iter().for_each(Service::terminate);
        for service in self.services {
            let name = service.kind().name();
            let status = service.stop()?;
            ensure!(status.success(), "{name} ended with {status}");
        }
        Ok(())
    }
}

/// Starts the service on the first pair of ports that works.
async fn start_service(
    kind: ServiceKind,
    program: &Path,
    database: &Database,
    ports: &Ports,
    variables: &[(String, String)],
) -> Result<Service> {
    let url = database.url_for(kind.role())?;
    let mut failure = None;
    for Pair { api, admin } in ports.candidates(kind) {
        let admin = admin.to_string();
        // The receiver of the demonstration listens on this machine.
        let mut all = vec![("ADMIN_PORT", admin.as_str()), ("WEBHOOK_ALLOW_PRIVATE", "true")];
        all.extend(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let mut service = Service::start_with(&all, kind, program, &url, api, database.log_dir())?;
        match service.wait_until_ready().await {
            Ok(()) => return Ok(service),
            // A service that still runs has its ports; another pair would not help.
            Err(error) if service.is_running() => return Err(error.into()),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.map_or_else(|| anyhow!("no ports to try"), Into::into))
}
