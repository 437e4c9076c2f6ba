//! One connection that somebody opened to us: a user, or a replica.

use bytes::Bytes;

use crate::commands::{CommandSpec, Wait};
use crate::event::{ClientId, Framing, JobId, Peer};
use crate::input::Input;
use crate::offset::ReplOffset;
use crate::resp::{Protocol, Request};
use crate::shared_stream::Position;
use crate::watching::Watch;

/// What the commands of one connection depend on.
#[derive(Debug, Default)]
pub struct Session {
    /// The selected database.
    pub database: usize,
    /// The transaction being queued, if any.
    pub transaction: Option<Transaction>,
}

/// Commands between `MULTI` and `EXEC`.
#[derive(Debug, Default)]
pub struct Transaction {
    /// The commands, in order.
    pub queued: Vec<Request>,
    /// Whether one of them was refused, so that `EXEC` must be.
    pub broken: bool,
}

/// What a connection said about itself with `REPLCONF`.
#[derive(Debug, Default)]
pub struct Announced {
    /// The port it listens on.
    pub port: u16,
    /// The address it wants to be known by.
    pub address: Option<String>,
    /// It reads payloads with an end mark.
    pub reads_end_mark: bool,
    /// It understands `+CONTINUE` with a name.
    pub reads_new_id: bool,
    /// It wants a snapshot and nothing after it.
    pub snapshot_only: bool,
}

/// What a connection waits for; its further commands wait with it.
#[derive(Debug)]
pub enum Blocked {
    /// `WAIT`: acknowledgements.
    Acknowledgements {
        /// Up to here.
        offset: ReplOffset,
        /// By so many replicas.
        replicas: usize,
        /// Not longer than this moment, if any.
        deadline_ms: Option<u64>,
    },
    /// A command that waits for something under one of its keys.
    Keys {
        /// The database of the keys.
        database: usize,
        /// The command, to be run again.
        args: Vec<Bytes>,
        /// What it waits for.
        wait: Wait,
        /// Not longer than this moment, if any.
        deadline_ms: Option<u64>,
    },
    /// `SAVE`: the end of a snapshot.
    Snapshot {
        /// Which.
        job: JobId,
    },
    /// `CONFIG REWRITE`: the file.
    ConfigFile,
    /// `SHUTDOWN`: the end.
    Ending,
    /// A pause: the command that may not run yet.
    Paused {
        /// It.
        request: Request,
    },
}

/// Where a replica stands with its primary (PROTOCOL §1, §3.2 to §3.4).
#[derive(Debug)]
pub enum Phase {
    /// Its snapshot has not begun; nothing is kept for it.
    Waiting {
        /// Since when.
        since_ms: u64,
    },
    /// Its snapshot is being made, or sent as it is made; the stream since the cut is kept.
    Accumulating {
        /// The offset of the cut.
        label: ReplOffset,
        /// How the snapshot travels.
        framing: Framing,
        /// Where the stream goes on after the snapshot.
        from: Position,
    },
    /// The file is being copied to it; the stream queues behind the file.
    Receiving(StreamStart),
    /// It has the whole snapshot, but we have not heard so; the stream since the cut is kept.
    Unacknowledged {
        /// The offset of the cut.
        label: ReplOffset,
        /// Where the stream goes on after the snapshot.
        from: Position,
    },
    /// It wants nothing but the snapshot, and all of that is on its way.
    Leaving {
        /// So many bytes of the connection are all of it.
        preceding: u64,
    },
    /// It gets the stream as it is written.
    Online(StreamStart),
}

/// Which part of the stream stands where among the bytes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamStart {
    /// So many bytes of the connection come before the stream.
    pub preceding: u64,
    /// Where the stream begins on this connection.
    pub first: Position,
    /// Up to where it was handed to the connection.
    pub handed: Position,
}

/// A connection that asked for the stream.
#[derive(Debug)]
pub struct Replica {
    /// Where it stands.
    pub phase: Phase,
    /// It came with `SYNC`: it has no label and never acknowledges.
    pub without_label: bool,
    /// The highest offset it acknowledged.
    pub acknowledged: ReplOffset,
    /// When it was last heard of.
    pub heard_ms: u64,
    /// Since when more waits for it than the soft limit allows.
    pub above_soft_since_ms: Option<u64>,
    /// Whether the fault of the stray newline still owes it one.
    pub owes_newline: bool,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    /// Its name here.
    pub id: ClientId,
    /// Where it comes from.
    pub address: Peer,
    /// What it calls itself (`CLIENT SETNAME`).
    pub name: Bytes,
    /// Since when it is here.
    pub since_ms: u64,
    /// When it last sent anything.
    pub active_ms: u64,
    /// The command it sent last, if it is one.
    pub last_command: Option<&'static CommandSpec>,
    /// Whether it gave the password, or needs none.
    pub authenticated: bool,
    /// How it is answered.
    pub protocol: Protocol,
    /// What it sent and we have not executed.
    pub input: Input,
    /// What its commands depend on.
    pub session: Session,
    /// What it said about itself.
    pub announced: Announced,
    /// What it waits for.
    pub blocked: Option<Blocked>,
    /// Whether commands of it wait until others have had their turn.
    pub awaits_turn: bool,
    /// The keys it watches for its next `EXEC`.
    pub watches: Vec<Watch>,
    /// Whether one of them has changed.
    pub watched_changed: bool,
    /// Its role, once it asked for the stream.
    pub replica: Option<Replica>,
    /// The offset after its last write, for `WAIT`.
    pub last_write: ReplOffset,
    /// Whether its transaction is being executed: nothing may wait then.
    pub in_exec: bool,
    /// Bytes given to the shell so far.
    pub queued: u64,
    /// Bytes the shell reported as written.
    pub written: u64,
    /// It asked for more than it may be given at once: nothing more is read from it or written to it.
    pub closing: bool,
}

impl Client {
    /// A connection that has said nothing yet.
    pub fn new(id: ClientId, address: Peer, now_ms: u64) -> Self {
        Self {
            id,
            address,
            name: Bytes::new(),
            since_ms: now_ms,
            active_ms: now_ms,
            last_command: None,
            authenticated: false,
            protocol: Protocol::default(),
            input: Input::default(),
            session: Session::default(),
            announced: Announced::default(),
            blocked: None,
            awaits_turn: false,
            watches: Vec::new(),
            watched_changed: false,
            replica: None,
            last_write: ReplOffset::ZERO,
            in_exec: false,
            queued: 0,
            written: 0,
            closing: false,
        }
    }

    /// The address `INFO` shows for a replica: the announced one, or where it comes from.
    pub fn shown_address(&self) -> String {
        let announced = self.announced.address.clone();
        announced.unwrap_or_else(|| self.address.host())
    }

    /// Where the stream begins that the system has not taken for this replica, if it holds on to any.
    pub fn oldest_needed(&self) -> Option<Position> {
        match &self.replica.as_ref()?.phase {
            _ if self.announced.snapshot_only => None,
            Phase::Waiting { .. } | Phase::Leaving { .. } => None,
            Phase::Accumulating { from, .. } | Phase::Unacknowledged { from, .. } => Some(*from),
            Phase::Receiving(start) | Phase::Online(start) => Some(
                start
                    .first
                    .advanced(self.written.saturating_sub(start.preceding)),
            ),
        }
    }
}

impl Replica {
    /// A replica that just asked.
    pub fn new(phase: Phase, without_label: bool, now_ms: u64) -> Self {
        Self {
            phase,
            without_label,
            acknowledged: ReplOffset::ZERO,
            heard_ms: now_ms,
            above_soft_since_ms: None,
            owes_newline: true,
        }
    }

    /// Whether `INFO` and `WAIT` count it among those that get the stream (PROTOCOL §3.8).
    pub fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online(_) | Phase::Unacknowledged { .. })
    }

    /// The word `INFO` has for its phase.
    pub fn state_word(&self) -> &'static str {
        match self.phase {
            Phase::Waiting { .. } | Phase::Accumulating { .. } => "wait_bgsave",
            Phase::Receiving(_) => "send_bulk",
            Phase::Leaving { .. } => "rdb_transmitted",
            Phase::Unacknowledged { .. } | Phase::Online(_) => "online",
        }
    }
}
