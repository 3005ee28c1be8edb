//! The ports on which the services listen unless `PORT` or `ADMIN_PORT` is set. The launcher tries them first.

/// write-api: the API.
pub const WRITE_API: u16 = 8081;

/// write-api: probes and metrics.
pub const WRITE_API_ADMIN: u16 = 9081;

/// read-api: the API and the dashboard.
pub const READ_API: u16 = 8082;

/// read-api: probes and metrics.
pub const READ_API_ADMIN: u16 = 9082;

/// projector: the API.
pub const PROJECTOR: u16 = 8083;

/// projector: probes and metrics.
pub const PROJECTOR_ADMIN: u16 = 9083;

/// revenue-api, an example: the API.
pub const REVENUE_API: u16 = 8084;

/// revenue-api, an example: probes and metrics.
pub const REVENUE_API_ADMIN: u16 = 9084;
