//! For tests: a wire between a process and its database that can be cut, or go silent, at a chosen moment.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// What happens on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Everything passes.
    Whole,
    /// Requests reach the server, its answers get lost. Nobody is told.
    ResponsesLost,
    /// Nothing reaches the server any more. Nobody is told.
    RequestsLost,
    /// Connections are cut, and new ones as soon as they are made.
    Cut,
}

/// What happens, and to which connections: each belongs to the epoch in which it was made.
#[derive(Debug, Clone, Copy)]
struct State {
    wire: Wire,
    epoch: u64,
    /// Connections of earlier epochs than this are cut.
    cut_before: u64,
    /// Nothing reaches the server on connections of earlier epochs than this.
    silent_before: u64,
    /// How often every session has to discard what it knows.
    discards: u64,
    /// How much later what the server says arrives.
    delay: Duration,
}

/// A TCP port that leads to a server's Unix socket. It closes with this value.
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
    /// Leads to `socket`, with everything passing.
    ///
    /// # Errors
    ///
    /// The operating system's.
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
                tokio::spawn(carry(client, server, seen.clone(), Arc::clone(&counter)));
            }
        });
        Ok(Self { port, server, state, lost, connections, accepting })
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on this happens, to the connections of now and to new ones.
    pub fn set(&self, wire: Wire) {
        self.state.send_modify(|state| state.wire = wire);
    }

    /// Cuts the connections that there are, and lets new ones pass.
    pub fn cut_once(&self) {
        self.heal_for_new_connections();
        self.state.send_modify(|state| state.cut_before = state.epoch);
    }

    /// Leaves the connections that there are as they are, and lets new ones pass.
    pub fn heal_for_new_connections(&self) {
        self.state.send_modify(|state| {
            state.epoch += 1;
            state.wire = Wire::Whole;
        });
    }

    /// Lets the connections that there are go silent for good, and new ones pass.
    pub fn silence_once(&self) {
        self.heal_for_new_connections();
        self.state.send_modify(|state| state.silent_before = state.epoch);
    }

    /// New connections lead to the server with this socket.
    pub fn route_to(&self, socket: PathBuf) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = socket;
    }

    /// Runs `DISCARD ALL` in every session as soon as it is idle, as a pooler does between two clients.
    pub fn discard_all(&self) {
        self.state.send_modify(|state| state.discards += 1);
    }

    /// From now on everything that the server says arrives this much later, on all connections.
    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// How many connections there have been.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many bytes have got lost so far.
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

async fn carry(
    mut client: TcpStream,
    mut server: UnixStream,
    mut states: watch::Receiver<State>,
    lost: Arc<AtomicUsize>,
) {
    let State { mut wire, epoch: born, mut discards, .. } = *states.borrow();
    let mut is_idle = false;
    let (mut requests, mut answers) = (vec![0; 65_536], vec![0; 65_536]);
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
            read = server.read(&mut answers) => {
                let bytes = read.ok().and_then(|length| answers.get(..length)).unwrap_or_default();
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

/// The message by which a server says that a session is idle, outside of a transaction.
const READY: &[u8] = b"Z\0\0\0\x05I";

async fn discard(server: &mut UnixStream) -> io::Result<()> {
    server.write_all(b"Q\0\0\0\x10DISCARD ALL\0").await?;
    let (mut answer, mut part) = (Vec::new(), [0; 1_024]);
    while !answer.ends_with(READY) {
        let length = server.read(&mut part).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend(part.iter().take(length));
    }
    Ok(())
}

/// No bytes are the end of a connection.
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
