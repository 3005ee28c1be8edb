//! A proxy between a process and its database that can cut connections or drop bytes.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// What happens to bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Everything passes.
    Whole,
    /// Requests reach the server; responses are dropped silently.
    ResponsesLost,
    /// Requests are dropped silently.
    RequestsLost,
    /// Open and new connections are closed.
    Cut,
}

/// What happens to which connections. Each connection belongs to the epoch in which it was accepted.
#[derive(Debug, Clone, Copy)]
struct State {
    wire: Wire,
    epoch: u64,
    /// Connections of earlier epochs are closed.
    cut_before: u64,
    /// Requests on connections of earlier epochs are dropped.
    silent_before: u64,
    /// How often each session must run `DISCARD ALL`.
    discards: u64,
    /// Delay of responses.
    delay: Duration,
}

/// Forwards a TCP port to a server's Unix socket, until dropped.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    server: Arc<Mutex<PathBuf>>,
    state: watch::Sender<State>,
    lost: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl FaultProxy {
    /// Forwards to `socket`.
    pub async fn start(socket: PathBuf) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (state, seen) = watch::channel(State {
            wire: Wire::Whole,
            epoch: 0,
            cut_before: 0,
            silent_before: 0,
            discards: 0,
            delay: Duration::ZERO,
        });
        let server = Arc::new(Mutex::new(socket));
        let current = Arc::clone(&server);
        let lost = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&lost);
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                let socket = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let Ok(server) = UnixStream::connect(&socket).await else { continue };
                tokio::spawn(forward(client, server, seen.clone(), Arc::clone(&counter)));
            }
        });
        Ok(Self { port, server, state, lost, connections, accepting })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Applies to open and new connections.
    pub fn set(&self, wire: Wire) {
        self.state.send_modify(|state| state.wire = wire);
    }

    /// Closes open connections; new ones work.
    pub fn cut_once(&self) {
        self.heal_for_new_connections();
        self.state.send_modify(|state| state.cut_before = state.epoch);
    }

    /// Leaves open connections as they are; new ones work.
    pub fn heal_for_new_connections(&self) {
        self.state.send_modify(|state| {
            state.epoch += 1;
            state.wire = Wire::Whole;
        });
    }

    /// Drops all requests on open connections; new ones work.
    pub fn silence_once(&self) {
        self.heal_for_new_connections();
        self.state.send_modify(|state| state.silent_before = state.epoch);
    }

    /// Forwards new connections to another server's socket.
    pub fn route_to(&self, socket: PathBuf) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = socket;
    }

    /// Runs `DISCARD ALL` in each session when it is idle, as a pooler does between two clients.
    pub fn discard_all(&self) {
        self.state.send_modify(|state| state.discards += 1);
    }

    /// Delays responses on all connections.
    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// The number of connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The number of bytes dropped so far.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Wire::Cut);
    }
}

async fn forward(
    mut client: TcpStream,
    mut server: UnixStream,
    mut states: watch::Receiver<State>,
    lost: Arc<AtomicUsize>,
) {
    let State { mut wire, epoch: born, mut discards, .. } = *states.borrow();
    let mut is_idle = false;
    let (mut requests, mut responses) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let state = *states.borrow_and_update();
        if state.epoch == born || state.wire == Wire::Cut {
            wire = state.wire;
        }
        if wire == Wire::Cut || born < state.cut_before {
            return;
        }
        if born < state.silent_before {
            wire = Wire::RequestsLost;
        }
        if is_idle && discards < state.discards {
            discards = state.discards;
            if discard(&mut server).await.is_err() {
                return;
            }
        }
        let sent = tokio::select! {
            changed = states.changed() => if changed.is_ok() { continue } else { return },
            read = client.read(&mut requests) => {
                let bytes = read.ok().and_then(|length| requests.get(..length)).unwrap_or_default();
                is_idle = false;
                pass(bytes, &mut server, wire == Wire::RequestsLost, &lost).await
            }
            read = server.read(&mut responses) => {
                let bytes = read.ok().and_then(|length| responses.get(..length)).unwrap_or_default();
                is_idle = bytes.ends_with(READY);
                tokio::time::sleep(state.delay).await;
                pass(bytes, &mut client, wire == Wire::ResponsesLost, &lost).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The message with which a server reports an idle session without a transaction.
const READY: &[u8] = b"Z\0\0\0\x05I";

async fn discard(server: &mut UnixStream) -> io::Result<()> {
    server.write_all(b"Q\0\0\0\x10DISCARD ALL\0").await?;
    let (mut response, mut part) = (Vec::new(), [0; 1_024]);
    while !response.ends_with(READY) {
        let length = server.read(&mut part).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        response.extend(part.iter().take(length));
    }
    Ok(())
}

/// Writes the bytes or drops them. No bytes mean the end of the connection.
async fn pass(
    bytes: &[u8],
    to: &mut (impl AsyncWriteExt + Unpin),
    is_lost: bool,
    lost: &AtomicUsize,
) -> io::Result<()> {
    if bytes.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if is_lost {
        lost.fetch_add(bytes.len(), Ordering::Relaxed);
        return Ok(());
    }
    to.write_all(bytes).await
}
