//! Where the server listens: TCP addresses and a unix socket, each accepted from by a task of its own.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::config::Config;

/// Accepted connections that may wait for the shell; when there are more, nothing is accepted.
const ACCEPTED_QUEUE: usize = 128;

/// When no descriptor is left, trying again at once would only burn the processor.
const PAUSE: Duration = Duration::from_millis(20);

/// A connection that somebody opened to us.
pub(crate) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream, PathBuf),
}

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place}: {source}")]
pub(crate) struct ListenError {
    pub(crate) place: String,
    pub(crate) source: io::Error,
}

/// Everything listened on; dropping it stops that and removes the unix socket.
pub(crate) struct Listening {
    pub(crate) accepted: mpsc::Receiver<Accepted>,
    /// The port, the same for all addresses.
    pub(crate) port: u16,
    tasks: Vec<AbortHandle>,
    unix: Option<PathBuf>,
}

impl Listening {
    pub(crate) async fn start(config: &Config) -> Result<Self, ListenError> {
        let (sender, accepted) = mpsc::channel(ACCEPTED_QUEUE);
        let (mut port, mut tasks) = (config.port, Vec::new());
        for address in &config.bind {
            if let Some(listener) = listen(address, port).await? {
                port = listener.local_addr().map_or(port, |local| local.port());
                tasks.push(tokio::spawn(accept_tcp(listener, sender.clone())).abort_handle());
            }
        }
        if let Some(path) = &config.unixsocket {
            let listener = listen_unix(path)?;
            tasks.push(tokio::spawn(accept_unix(listener, path.clone(), sender)).abort_handle());
        }
        Ok(Self {
            accepted,
            port,
            tasks,
            unix: config.unixsocket.clone(),
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        if let Some(path) = &self.unix {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Nothing for an address with `-` in front that this machine does not have.
async fn listen(address: &str, port: u16) -> Result<Option<TcpListener>, ListenError> {
    let (optional, host) = match address.strip_prefix('-') {
        Some(host) => (true, host),
        None => (false, address),
    };
    let host = match host {
        "*" => "0.0.0.0",
        "::*" => "::",
        other => other,
    };
    match TcpListener::bind((host, port)).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if optional => {
            tracing::warn!("Not listening on {host}:{port}: {error}");
            Ok(None)
        }
        Err(source) => {
            // Tools that choose ports wait for this sentence.
            tracing::error!("Failed listening on port {port} (tcp), aborting.");
            let place = format!("{host}:{port}");
            Err(ListenError { place, source })
        }
    }
}

/// A socket file that an earlier server left behind is in nobody's way.
fn listen_unix(path: &Path) -> Result<UnixListener, ListenError> {
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).map_err(|source| ListenError {
        place: path.display().to_string(),
        source,
    })
}

async fn accept_tcp(listener: TcpListener, sender: mpsc::Sender<Accepted>) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                if sender.send(Accepted::Tcp(stream, address)).await.is_err() {
                    return;
                }
            }
            Err(error) => complain(&error).await,
        }
    }
}

async fn accept_unix(listener: UnixListener, path: PathBuf, sender: mpsc::Sender<Accepted>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if sender
                    .send(Accepted::Unix(stream, path.clone()))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            Err(error) => complain(&error).await,
        }
    }
}

async fn complain(error: &io::Error) {
    tracing::warn!("A connection could not be accepted: {error}");
    tokio::time::sleep(PAUSE).await;
}
