//! What happens to the table of a read model.

use std::fmt::{self, Display, Formatter};

use anyhow::Result;
use tokio_postgres::Client;

use crate::stage::Stage;

/// What happens to its table: how it begins and ends.
pub(super) struct Fault {
    name: &'static str,
    begin: &'static str,
    end: &'static str,
}

const STOP: &str = "DROP TRIGGER bench_fail ON revenue_1.orders; DROP FUNCTION bench_fail()";

pub(super) const FAULTS: [Fault; 4] = [
    Fault {
        name: "a listener refuses everything",
        begin: "CREATE FUNCTION bench_fail() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'refused by the benchmark'; END $$;
                CREATE TRIGGER bench_fail BEFORE INSERT OR UPDATE ON revenue_1.orders
                    FOR EACH STATEMENT EXECUTE FUNCTION bench_fail()",
        end: STOP,
    },
    Fault {
        name: "a listener sleeps",
        begin: "CREATE FUNCTION bench_fail() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
                CREATE TRIGGER bench_fail BEFORE INSERT OR UPDATE ON revenue_1.orders
                    FOR EACH STATEMENT EXECUTE FUNCTION bench_fail()",
        end: STOP,
    },
    Fault {
        name: "a listener's table is locked",
        begin: "BEGIN; LOCK TABLE revenue_1.orders IN ACCESS EXCLUSIVE MODE",
        end: "ROLLBACK",
    },
    Fault {
        name: "a listener's table is gone",
        begin: "ALTER TABLE revenue_1.orders RENAME TO orders_gone",
        end: "ALTER TABLE revenue_1.orders_gone RENAME TO orders",
    },
];

impl Display for Fault {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// A fault that lasts until [`Begun::end`].
pub(super) struct Begun {
    session: Client,
    end: &'static str,
}

impl Fault {
    pub(super) async fn begin(&self, stage: &Stage) -> Result<Begun> {
        let (session, connection) = service_kit::database::connect(&stage.database_url()).await?;
        tokio::spawn(connection);
        session.batch_execute(self.begin).await?;
        Ok(Begun { session, end: self.end })
    }
}

impl Begun {
    pub(super) async fn end(self) -> Result<()> {
        Ok(self.session.batch_execute(self.end).await?)
    }
}
