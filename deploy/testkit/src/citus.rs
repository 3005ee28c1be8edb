//! A cluster of Citus, if the PostgreSQL that is found has this extension: a coordinator and two workers.

use std::fs;
use std::io::{self, Write};
use std::sync::Once;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use migrate::Cell;
use tokio_postgres::Client;

use crate::owned_database::connect;
use crate::postgres::{PrivateServer, SUPERUSER, ServerError, prepare, shared_server, socket_url};
use crate::wait;

const DATABASE: &str = "orders";
const LIMIT: Duration = Duration::from_secs(30);

const MISSING: &str =
    "NOTHING WAS TESTED ON CITUS: this PostgreSQL does not offer the extension (see PG_BIN)";

/// A server of the cluster. Only workers have cells. The groups of both are in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    Coordinator,
    Worker1,
    Worker2,
}

impl Node {
    pub const ALL: [Self; 3] = [Self::Coordinator, Self::Worker1, Self::Worker2];
    pub const WORKERS: [Self; 2] = [Self::Worker1, Self::Worker2];
}

/// The nodes reach one another over TCP, and are fenced off there: a session of the product's processes that another
/// node has opened for them is refused. The processes themselves use the socket, since all addresses of this machine
/// are those of its nodes.
const RULES: &str = "local all all trust\n\
    host all orders_write_api,orders_write_api_b,orders_projector,orders_projector_b,orders_read_api,\
    orders_read_api_b,orders_scaler,orders_scaler_b 127.0.0.1/32 reject\n\
    host all all 127.0.0.1/32 trust\n";

const SETTINGS: [&str; 8] = [
    "shared_preload_libraries=citus",
    "wal_level=logical",
    "max_prepared_transactions=100",
    // Nodes are killed, and must keep what they have acknowledged.
    "synchronous_commit=on",
    "citus.enable_unsafe_triggers=on",
    "citus.node_conninfo=sslmode=disable",
    "citus.enable_statistics_collection=off",
    "shared_buffers=32MB",
];

/// Its nodes, each a server of its own. Dropping it stops them.
#[derive(Debug)]
pub struct CitusCluster {
    coordinator: PrivateServer,
    worker1: PrivateServer,
    worker2: PrivateServer,
}

impl CitusCluster {
    /// Starts it, with a database in which there are no cells yet. `None`, with a message, if the server does not offer
    /// the extension. Bound to the calling thread, as [`PrivateServer::start`].
    ///
    /// # Errors
    ///
    /// If a server does not start; also if `REQUIRE_CITUS` is set and the extension is not offered.
    pub async fn start() -> Result<Option<Self>> {
        if !is_offered().await? {
            ensure!(std::env::var_os("REQUIRE_CITUS").is_none(), MISSING);
            print_that_it_is_missing();
            return Ok(None);
        }
        let cluster = Self { coordinator: start_node()?, worker1: start_node()?, worker2: start_node()? };
        for node in Node::ALL {
            let session = connect(&cluster.node(node).url_by_socket(SUPERUSER, "postgres")).await?;
            session.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
            cluster.connect(node).await?.batch_execute("CREATE EXTENSION citus").await?;
        }
        let coordinator = cluster.connect(Node::Coordinator).await?;
        let set =
            format!("SELECT citus_set_coordinator_host('127.0.0.1', {})", cluster.port(Node::Coordinator));
        coordinator.batch_execute(&set).await?;
        for node in Node::WORKERS {
            let add = format!("SELECT citus_add_node('127.0.0.1', {})", cluster.port(node));
            coordinator.batch_execute(&add).await.context("a node cannot be added")?;
        }
        Ok(Some(cluster))
    }

    /// Makes a cell on this worker, as the documents say.
    pub async fn add_cell(&self, schema: &str, worker: Node) -> Result<()> {
        Cell::new(schema)?.up(&self.superuser_url(Node::Coordinator)).await?;
        self.distribute(schema, worker).await
    }

    /// Lets this worker own the schema, with the grants that do not reach the nodes by themselves.
    pub async fn distribute(&self, schema: &str, worker: Node) -> Result<()> {
        let coordinator = self.connect(Node::Coordinator).await?;
        coordinator.batch_execute(&format!("SELECT citus_schema_distribute('{schema}')")).await?;
        let grant = format!("GRANT SELECT ON SEQUENCE {schema}.outbox_id_seq TO orders_projection");
        self.run_on_all_nodes(&grant).await?;
        if self.owner_of(schema).await? != worker {
            self.move_cell(schema, worker).await?;
        }
        Ok(())
    }

    /// Runs a statement on each node, and nowhere else.
    async fn run_on_all_nodes(&self, statement: &str) -> Result<()> {
        let coordinator = self.connect(Node::Coordinator).await?;
        let run = "SELECT nodeid, result FROM run_command_on_all_nodes($1) WHERE NOT success";
        let failed = coordinator.query_opt(run, &[&statement]).await?;
        let result = failed.map(|row| row.get::<_, String>(1));
        ensure!(result.is_none(), "{statement}: {result:?}");
        Ok(())
    }

    /// Moves the cell to this worker while it is used.
    pub async fn move_cell(&self, schema: &str, worker: Node) -> Result<()> {
        let coordinator = self.connect(Node::Coordinator).await?;
        wait::until("the remains of an earlier move to be removed", LIMIT, async || {
            let cleaned = coordinator.batch_execute("CALL citus_cleanup_orphaned_resources()").await;
            cleaned.map_err(|error| error.to_string())?;
            let left = coordinator.query_one("SELECT count(*) FROM pg_dist_cleanup", &[]).await;
            let left: i64 = left.map_err(|error| error.to_string())?.get(0);
            if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
        })
        .await?;
        let port = self.port(worker);
        let statement = format!("SELECT citus_schema_move('{schema}', '127.0.0.1', {port}, 'force_logical')");
        Ok(coordinator.batch_execute(&statement).await?)
    }

    /// Lets the cluster move cells until the workers have the same load, and waits for the end.
    pub async fn rebalance(&self) -> Result<()> {
        let coordinator = self.connect(Node::Coordinator).await?;
        coordinator
            .batch_execute("SELECT citus_rebalance_start(shard_transfer_mode => 'force_logical')")
            .await?;
        Ok(coordinator.batch_execute("SELECT citus_rebalance_wait()").await?)
    }

    /// What an operator does after each move, before the processes get the URL of the other worker.
    pub async fn continue_ids(&self, schema: &str) -> Result<()> {
        let statement = format!(
            "SELECT success, result FROM run_command_on_shards('{schema}.outbox',
                'SELECT {schema}.continue_ids()')"
        );
        let row = self.connect(Node::Coordinator).await?.query_one(&statement, &[]).await?;
        ensure!(row.get::<_, bool>(0), "{}", row.get::<_, String>(1));
        Ok(())
    }

    /// The worker that owns the cell.
    pub async fn owner_of(&self, schema: &str) -> Result<Node> {
        let query = "SELECT nodeport FROM pg_dist_shard JOIN pg_dist_placement USING (shardid)
                     JOIN pg_dist_node USING (groupid) WHERE logicalrelid = $1::text::regclass";
        let coordinator = self.connect(Node::Coordinator).await?;
        let port: i32 = coordinator.query_one(query, &[&format!("{schema}.orders")]).await?.get(0);
        let is_there = |node: &Node| i32::from(self.port(*node)) == port;
        Node::WORKERS.into_iter().find(is_there).context("no worker owns the cell")
    }

    /// A superuser's session on this node.
    pub async fn connect(&self, node: Node) -> Result<Client> {
        connect(&self.superuser_url(node)).await
    }

    /// The URL of this node for the superuser.
    #[must_use]
    pub fn superuser_url(&self, node: Node) -> String {
        self.node(node).url_by_socket(SUPERUSER, DATABASE)
    }

    /// The URL of a cell for `role` on this node, as it stands in `DATABASE_URL`.
    #[must_use]
    pub fn url(&self, node: Node, role: &str, schema: &str) -> String {
        format!("{}?options=-c%20search_path%3D{schema}", self.node(node).url_by_socket(role, DATABASE))
    }

    /// The server of this node.
    #[must_use]
    pub fn node(&self, node: Node) -> &PrivateServer {
        match node {
            Node::Coordinator => &self.coordinator,
            Node::Worker1 => &self.worker1,
            Node::Worker2 => &self.worker2,
        }
    }

    /// The same, to kill and start it.
    pub fn node_mut(&mut self, node: Node) -> &mut PrivateServer {
        match node {
            Node::Coordinator => &mut self.coordinator,
            Node::Worker1 => &mut self.worker1,
            Node::Worker2 => &mut self.worker2,
        }
    }

    fn port(&self, node: Node) -> u16 {
        self.node(node).tcp_port().unwrap_or_default()
    }
}

fn start_node() -> Result<PrivateServer, ServerError> {
    PrivateServer::start_on_tcp_with(|layout| {
        fs::write(layout.data_dir.join("pg_hba.conf"), RULES).map_err(prepare("the rules of a node"))?;
        Ok(SETTINGS.map(str::to_owned).to_vec())
    })
}

/// Once for all tests of a program.
fn print_that_it_is_missing() {
    static PRINTED: Once = Once::new();
    PRINTED.call_once(|| drop(writeln!(io::stderr(), "{MISSING}")));
}

/// Asks the server that the tests of this run share.
async fn is_offered() -> Result<bool> {
    let server = tokio::task::spawn_blocking(shared_server).await??;
    let session = connect(&socket_url(&server.socket_dir, SUPERUSER, "postgres")).await?;
    let query = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citus')";
    Ok(session.query_one(query, &[]).await?.get(0))
}
