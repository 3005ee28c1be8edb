//! Which services there are.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    WriteApi,
    Projector,
    ReadApi,
    /// In place of the projector: the same with the read model of the example.
    RevenueProjector,
    /// The read service of the example.
    RevenueApi,
}

impl ServiceKind {
    /// The services of the product.
    pub const ALL: [Self; 3] = [Self::WriteApi, Self::Projector, Self::ReadApi];

    /// The same with the example.
    pub const WITH_EXAMPLES: [Self; 4] =
        [Self::WriteApi, Self::RevenueProjector, Self::ReadApi, Self::RevenueApi];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WriteApi => "write-api",
            Self::Projector => "projector",
            Self::ReadApi => "read-api",
            Self::RevenueProjector => "revenue-projector",
            Self::RevenueApi => "revenue-api",
        }
    }

    #[must_use]
    pub const fn role(self) -> &'static str {
        match self {
            Self::WriteApi => "orders_write_api",
            Self::Projector | Self::RevenueProjector => "orders_projector",
            Self::ReadApi => "orders_read_api",
            Self::RevenueApi => "orders_revenue",
        }
    }

    /// The package that has the program.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Self::WriteApi | Self::Projector | Self::ReadApi => self.name(),
            Self::RevenueProjector | Self::RevenueApi => "revenue",
        }
    }
}
