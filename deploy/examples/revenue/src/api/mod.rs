//! The read service: its only tables are the views `revenue.by_month` and `revenue.by_sku`.
//!
//! | File | Holds |
//! |---|---|
//! | `mod.rs` | configuration, wiring and routes: start reading here |
//! | `get_revenue`, `list_skus` | one resource each |
//! | `parameters` | query parameters, checked |
//! | `queries` | the statements |

mod get_revenue;
mod list_skus;
mod parameters;
mod queries;

use std::collections::BTreeMap;

use actix_web::{Route, web};
use service_kit::auth::{Access, AuthConfig, Authenticator, Right};
use service_kit::config::{ConfigError, Vars};
use service_kit::database::{Checker, DatabaseConfig};
use service_kit::default_ports;
use service_kit::health::{Health, HealthConfig};
use service_kit::http::{Admin, AdminConfig, Api, BindError, HttpConfig, Served};
use service_kit::metrics::{Registry, RegistryError};
use service_kit::openapi;
use service_kit::problem::{HEAD_TOO_LARGE, HEAD_TOO_SLOW, INTERNAL, INVALID_PARAMETER, UNAVAILABLE};
use service_kit::resource::get_resource;
use service_kit::shutdown::Stop;
use service_kit::tasks::{CriticalTasks, Service};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::{RefOr, Response};
use utoipa::{IntoResponses, OpenApi};

use self::queries::{BY_KEY_ONLY, NEEDS};

const REVENUE: &str = "/revenue";
const ORDERS_BY_SKU: &str = "/orders-by-sku";

const READ: Access = Access::Needs(&[Right::Any("revenue:read")]);

/// The connection that the database check uses.
const CHECK_CONNECTIONS: usize = 1;

/// All settings: the variables that every service has.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `DATABASE_*` variables; the role is `orders_revenue`.
    pub database: DatabaseConfig,
    /// `BIND_ADDRESS`, `PORT` (default 8084), `HTTP_WORKERS`.
    pub http: HttpConfig,
    /// `ADMIN_ADDRESS`, `ADMIN_PORT` (default 9084).
    pub admin: AdminConfig,
    /// The `AUTH*` variables.
    pub auth: AuthConfig,
    /// The `READINESS_*` variables.
    pub health: HealthConfig,
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        Ok(Self {
            database: DatabaseConfig::from_vars(vars)?,
            http: HttpConfig::from_vars(vars)?,
            admin: AdminConfig::from_vars(vars)?,
            auth: AuthConfig::from_vars(vars)?,
            health: HealthConfig::from_vars(vars)?,
        })
    }
}

/// The reason why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("the configuration is wrong")]
    Config(#[from] ConfigError),
    /// An address cannot be listened on, or there are too few file descriptors.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The metrics cannot be set up.
    #[error("cannot set up the metrics")]
    Metrics(#[from] RegistryError),
}

/// Listens. It succeeds without a database; `/readyz` reports when one is available.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn bind(config: &Config, stop: CancellationToken) -> Result<Service, StartError> {
    let clients = Served::plan(&config.http, config.database.pool_size() + CHECK_CONNECTIONS)?;
    let stop = Stop::new(stop);
    let tasks = CriticalTasks::new(stop.begun.clone());
    let health = Health::new(config.health, stop.begun.clone());
    let database = config.database.clone().with_settings(BY_KEY_ONLY);
    let check = database.clone().with_pool_size(CHECK_CONNECTIONS).open("revenue-api")?;
    let checker = Checker::new(check, NEEDS);
    tasks.spawn("database check", checker.keep_checking(health.clone(), true));
    let database = web::Data::new(database.open("revenue-api")?.reporting_to(&health));

    let registry = Registry::new(&[])?;
    let (authenticator, keeping_keys) = Authenticator::start(&config.auth, &config.http, &health, &registry)?;
    tasks.spawn("access token keys", keeping_keys);
    let metrics = registry.clone();
    let metrics = move |app: &mut web::ServiceConfig| metrics.routes(app);
    let admin = Admin::start(&config.admin, default_ports::REVENUE_API_ADMIN, &health, &registry, metrics)?;
    let configure = move |app: &mut web::ServiceConfig| {
        app.app_data(database.clone()).configure(routes);
    };
    let server = service_kit::http::bind(
        &config.http,
        default_ports::REVENUE_API,
        clients,
        admin,
        stop,
        authenticator,
        Api { document: document(), routes: configure },
    )?;
    Ok(Service::new(server, tasks))
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Orders: revenue", description = "Revenue by month and currency, and orders by SKU."),
    paths(get_revenue::handle, list_skus::handle)
)]
struct Document;

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let document = openapi::with_default(Document::openapi(), REVENUE, "by", "month");
    let limit = |document, path| openapi::with_default(document, path, "limit", parameters::DEFAULT_LIMIT);
    let document = limit(limit(document, REVENUE), ORDERS_BY_SKU);
    openapi::secured(document, &OPERATIONS)
}

/// Path and access of each resource, for the guard and for the document. Every method is GET.
const OPERATIONS: [(&str, Access); 2] = [(REVENUE, READ), (ORDERS_BY_SKU, READ)];

fn resources() -> [((&'static str, Access), Route); 2] {
    let [revenue, orders_by_sku] = OPERATIONS;
    [(revenue, web::route().to(get_revenue::handle)), (orders_by_sku, web::route().to(list_skus::handle))]
}

fn routes(app: &mut web::ServiceConfig) {
    for ((path, access), route) in resources() {
        app.service(get_resource(path, access, route));
    }
    openapi::serve(app, &document());
}

/// The problems of each resource.
struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        openapi::responses(&[HEAD_TOO_LARGE, HEAD_TOO_SLOW, INVALID_PARAMETER, INTERNAL, UNAVAILABLE])
    }
}
