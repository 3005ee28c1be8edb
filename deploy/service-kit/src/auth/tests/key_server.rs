//! An issuer's HTTP server, which may misbehave.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::auth::keys::Source;

/// What it does with a request.
#[derive(Clone)]
pub(in crate::auth) enum Reply {
    /// 200 with this body.
    Document(String),
    /// The same once [`KeyServer::release`] is called.
    Held(String),
    /// These bytes, and then the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, and then one byte after another without an end.
    Drip(String),
}

pub(in crate::auth) struct KeyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    reply: Mutex<Reply>,
    requests: AtomicUsize,
    /// The head of the last request.
    head: Mutex<String>,
    released: Semaphore,
}

impl KeyServer {
    pub(in crate::auth) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            reply: Mutex::new(reply),
            requests: AtomicUsize::new(0),
            head: Mutex::default(),
            released: Semaphore::new(0),
        };
        let shared = Arc::new(shared);
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _task: AbortOnDropHandle::new(task) }
    }

    pub(in crate::auth) fn url(&self) -> Url {
        format!("http://{}/jwks?v=1", self.address).parse().unwrap()
    }

    pub(in crate::auth) fn source(&self) -> Source {
        Source::url(self.url())
    }

    pub(in crate::auth) fn set(&self, reply: Reply) {
        *self.shared.reply.lock().unwrap() = reply;
    }

    pub(in crate::auth) fn release(&self) {
        self.shared.released.add_permits(1);
    }

    pub(in crate::auth) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    pub(in crate::auth) fn head(&self) -> String {
        self.shared.head.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        // The client may have gone.
        connections.spawn(async move { drop(serve(stream, &shared).await) });
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    *shared.head.lock().unwrap() = String::from_utf8(head).unwrap();
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let reply = shared.reply.lock().unwrap().clone();
    match reply {
        Reply::Document(document) => stream.write_all(&ok(&document)).await?,
        Reply::Held(document) => {
            shared.released.acquire().await.unwrap().forget();
            stream.write_all(&ok(&document)).await?;
        }
        Reply::Raw(bytes) => stream.write_all(&bytes).await?,
        Reply::Drip(start) => {
            stream.write_all(start.as_bytes()).await?;
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.write_all(b" ").await?;
            }
        }
    }
    stream.shutdown().await
}

fn ok(document: &str) -> Vec<u8> {
    let length = document.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{document}")
        .into()
}
