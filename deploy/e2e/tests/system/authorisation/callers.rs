//! The tokens of the tables.

use std::slice;

/// Every scope, of services and staff first.
pub(super) const SCOPES: [&str; 9] = [
    "orders:place",
    "orders:pay",
    "orders:fulfil",
    "orders:cancel:any",
    "orders:read:any",
    "events:read",
    "revenue:read",
    "orders:read",
    "orders:cancel",
];
/// Those that are meant for a customer's app.
const OF_CUSTOMERS: [&str; 2] = ["orders:read", "orders:cancel"];

/// Whose orders the requests are for.
pub(super) const OWNER: &str = "alice";
const OTHER: &str = "bob";

/// The claims of a token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// There is no token without one.
    pub(super) scopes: Vec<&'static str>,
    pub(super) customer: Option<&'static str>,
}

impl Caller {
    /// Without a token.
    pub(super) const NOBODY: Self = Self { scopes: Vec::new(), customer: None };

    fn new(scopes: &[&'static str], customer: Option<&'static str>) -> Self {
        Self { scopes: scopes.to_vec(), customer }
    }

    /// May do everything.
    pub(super) fn staff() -> Self {
        Self::new(&SCOPES, None)
    }
}

/// A column: its callers get the same.
pub(super) struct Column {
    pub(super) title: String,
    pub(super) callers: Vec<Caller>,
}

impl Column {
    fn new(title: impl Into<String>, callers: Vec<Caller>) -> Self {
        Self { title: title.into(), callers }
    }
}

/// No token, each scope alone, and staff.
pub(super) fn without_a_customer() -> Vec<Column> {
    let mut columns = vec![Column::new("no token", vec![Caller::NOBODY])];
    let alone = |scope| Column::new(format!("`{scope}`"), vec![Caller::new(slice::from_ref(scope), None)]);
    columns.extend(SCOPES.iter().map(alone));
    columns.push(Column::new("all", vec![Caller::staff()]));
    columns
}

/// The customer whose orders they are, and another one.
pub(super) fn with_a_customer() -> Vec<Column> {
    let mut columns = Vec::new();
    for (whose, customer) in [("own", OWNER), ("other", OTHER)] {
        let alone = |scope: &&'static str| Caller::new(slice::from_ref(scope), Some(customer));
        for scope in &OF_CUSTOMERS {
            columns.push(Column::new(format!("{whose}, `{scope}`"), vec![alone(scope)]));
        }
        let others = SCOPES.iter().filter(|scope| !OF_CUSTOMERS.contains(scope)).map(alone);
        columns.push(Column::new(format!("{whose}, each other"), others.collect()));
        columns.push(Column::new(format!("{whose}, all"), vec![Caller::new(&SCOPES, Some(customer))]));
    }
    columns
}
