//! What goes into the core and what comes out of it, as data.
//!
//! The shell turns sockets, files and timers into an [`Event`] and carries out each [`Action`], in order.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;

use crate::config::{Config, OutputLimits};
use crate::ids::ReplicationId;
use crate::keyspace::{Keyspace, Snapshot};
use crate::rdb::{Loaded, ReplicationFields};
use crate::server::SavedPosition;

/// A connection that somebody opened to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// One attempt of ours to connect to a primary. Events of older attempts are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One snapshot being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// The other end of a connection that somebody opened to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Tcp(SocketAddr),
    /// Somebody on this machine who opened our unix socket, of this path.
    Unix(PathBuf),
}

impl Peer {
    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// The address without the port.
    pub fn host(&self) -> String {
        match self {
            Self::Tcp(address) => address.ip().to_string(),
            Self::Unix(path) => path.display().to_string(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{}:0", path.display()),
        }
    }
}

/// How a snapshot travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Written to a file first; announced with its length.
    Disk,
    /// Sent as it is written; closed by the mark.
    Socket {
        /// The forty characters that end it.
        mark: ReplicationId,
    },
}

/// Something happened outside.
#[derive(Debug)]
pub enum Event {
    /// Somebody connected.
    Connected {
        /// The new connection.
        client: ClientId,
        /// Where it comes from.
        address: Peer,
    },
    /// Bytes arrived on a connection.
    Received {
        /// The connection.
        client: ClientId,
        /// The bytes.
        bytes: Bytes,
    },
    /// So many bytes, counted from the start of the connection, have been handed to the system.
    Written {
        /// The connection.
        client: ClientId,
        /// The count.
        total: u64,
    },
    /// The connection is gone.
    Closed {
        /// The connection.
        client: ClientId,
    },
    /// Our connection to the primary stands.
    LinkUp {
        /// The attempt.
        link: LinkId,
    },
    /// Bytes arrived from the primary.
    LinkReceived {
        /// The attempt.
        link: LinkId,
        /// The bytes.
        bytes: Bytes,
    },
    /// Our connection to the primary failed or ended.
    LinkDown {
        /// The attempt.
        link: LinkId,
    },
    /// Our own snapshot file was read at the start, or there is none.
    FileLoaded {
        /// What it held.
        keyspace: Box<Keyspace>,
        /// Its label, if it had one.
        label: Option<SavedPosition>,
    },
    /// A snapshot from the primary was read, and kept as our own file where that was asked for. One that cannot be used may
    /// say so before all of it has come.
    SnapshotLoaded {
        /// The attempt that it came by.
        link: LinkId,
        /// What it held, or why it cannot be used.
        result: Result<Box<Loaded>, String>,
    },
    /// A part of a snapshot for sockets.
    SnapshotPart {
        /// The snapshot.
        job: JobId,
        /// The bytes.
        bytes: Bytes,
    },
    /// A snapshot is complete; in a file under its final name when it was meant for one.
    SnapshotDone {
        /// The snapshot.
        job: JobId,
        /// Its length in bytes.
        length: u64,
    },
    /// A snapshot could not be written.
    SnapshotFailed {
        /// The snapshot.
        job: JobId,
        /// What the system said.
        reason: String,
    },
    /// The configuration file was written, or could not be.
    ConfigWritten {
        /// Who asked for it.
        client: ClientId,
        /// What the system said if it failed.
        failure: Option<String>,
    },
    /// The process was asked to end.
    Terminate,
}

/// Something the shell shall do.
#[derive(Debug)]
// An action lives for microseconds between the core and the shell; a box would cost more than its size.
#[allow(clippy::large_enum_variant)]
pub enum Action {
    /// Write bytes to a connection, after all that were given before.
    Send {
        /// The connection.
        client: ClientId,
        /// The bytes.
        bytes: Bytes,
    },
    /// Write the file of a finished snapshot to a connection, after all bytes given before.
    SendSnapshot {
        /// The connection.
        client: ClientId,
        /// The finished snapshot.
        job: JobId,
        /// Its length in bytes.
        length: u64,
    },
    /// Report [`Event::Written`] for this connection from now on.
    ReportWrites {
        /// The connection.
        client: ClientId,
    },
    /// Close a connection, once what was given before is written.
    Close {
        /// The connection.
        client: ClientId,
    },
    /// Connect to a primary.
    Connect {
        /// The attempt.
        link: LinkId,
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// Write bytes to the primary.
    SendLink {
        /// The attempt.
        link: LinkId,
        /// The bytes.
        bytes: Bytes,
    },
    /// Give up the connection to the primary; no event shall follow.
    CloseLink {
        /// The attempt.
        link: LinkId,
    },
    /// Write a snapshot, beside everything else.
    WriteSnapshot {
        /// Its name.
        job: JobId,
        /// The data at the cut.
        snapshot: Snapshot,
        /// The label, where there is one.
        fields: Option<ReplicationFields>,
        /// Where it goes.
        framing: Framing,
        /// The file it becomes, if it is for a file.
        path: PathBuf,
    },
    /// Make the next part of a snapshot for sockets; each part waits for this.
    ContinueSnapshot {
        /// Its name.
        job: JobId,
    },
    /// Stop writing a snapshot; no event shall follow.
    CancelSnapshot {
        /// Its name.
        job: JobId,
    },
    /// How long a running snapshot pauses before each key, in microseconds.
    SetKeyDelay {
        /// The pause.
        microseconds: u64,
    },
    /// Begin to read a snapshot that a primary sends, beside everything else; if all of it can be read, keep it as our
    /// own file, then say so with [`Event::SnapshotLoaded`]. Closing the link gives it up.
    LoadSnapshot {
        /// The attempt that it comes by.
        link: LinkId,
        /// The file it becomes, if it becomes one.
        path: Option<PathBuf>,
    },
    /// More of that snapshot.
    LoadPiece {
        /// The attempt that it came by.
        link: LinkId,
        /// What comes next.
        piece: Bytes,
    },
    /// All of that snapshot has come.
    LoadWhole {
        /// The attempt that it came by.
        link: LinkId,
    },
    /// Bring the configuration file up to date and say so with [`Event::ConfigWritten`].
    WriteConfig {
        /// Who asked for it.
        client: ClientId,
        /// The file.
        path: PathBuf,
        /// The values in force.
        config: Box<Config>,
        /// The values that need no line.
        defaults: Box<Config>,
    },
    /// Cut off users for whom more bytes wait than this from now on.
    LimitOutput {
        /// The limits of all classes.
        limits: OutputLimits,
    },
    /// Do nothing at all for so long (`DEBUG SLEEP`).
    Sleep {
        /// Milliseconds.
        milliseconds: u64,
    },
    /// Tell the operator.
    Log {
        /// The sentence.
        message: String,
    },
    /// End the process.
    Exit,
}
