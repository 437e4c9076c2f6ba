//! The links: the connection a replica keeps to its primary, and what each end believes of it.
//!
//! A link is an ordered pipe each way. It can be cut at any moment, and what is on its way is lost; each end
//! notices by itself, in its own time. A replica has one link; an older connection of it that some primary
//! still believes in is kept as [`Connection`].

use crate::token::Tokens;
use crate::world::{Byte, Id, Label, NodeId, Offset, Snapshot};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How far a link's physical connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// There is no connection, and both ends know.
    Absent,
    /// Bytes pass.
    Whole,
    /// Bytes are lost; an end that has not noticed yet still believes in it.
    Cut,
}

/// What a replica does about its primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplicaPhase {
    /// Nothing: it will connect.
    Idle,
    /// It has sent PSYNC and waits for the reply.
    Asked,
    /// It waits for the snapshot.
    Transferring,
    /// It applies the stream.
    Connected,
    /// It applies the stream and never acknowledges; only a wrong server does that.
    ConnectedMute,
}

/// What a primary does about one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrimaryPhase {
    /// Nothing: it does not know of any.
    None,
    /// It has refused to continue, and the snapshot has not begun: `WAIT_BGSAVE_START`.
    Waiting,
    /// The snapshot is being made and the stream is queued: `WAIT_BGSAVE_END`.
    Accumulating,
    /// The snapshot was sent directly, and the stream waits for the first acknowledgement.
    Held,
    /// The stream is being sent: `ONLINE`.
    Online,
}

/// A request on its way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// What is asked for: nothing in particular, or a byte of a history.
    pub wanted: Option<(Id, Byte)>,
}

/// The first line of the answer, on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// `+CONTINUE`, with the current name of the history if the era sends it.
    Continue(Option<Id>),
    /// `+FULLRESYNC`, with the label of the snapshot that follows.
    FullResync(Label),
    /// An error instead of either.
    Error(ErrorReply),
}

/// An error that answers a request.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorReply {
    /// Known to pass: `-NOMASTERLINK`, `-LOADING`.
    Transient,
    /// Any other: `-ERR`, `-NOPERM`, `-BUSY`, `-MASTERDOWN`.
    Unexpected,
}

impl ErrorReply {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Transient, Self::Unexpected];
}

/// Commands on their way down, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stream {
    /// The commands.
    pub tokens: Tokens,
    /// Whether of the first one only the tail is left.
    pub starts_with_tail: bool,
}

/// A connection as a primary sees it; in particular an older one that it still believes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// Who believes in it: the replica's primary, or the one it had before.
    pub at: NodeId,
    /// What that primary thinks of it.
    pub phase: PrimaryPhase,
    /// As [`Link::unsent_from`]: later blocks of the backlog stay.
    pub unsent_from: Option<Offset>,
}

/// The link a replica keeps to its primary: a pipe each way, and what each end believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// The connection itself.
    pub wire: Wire,
    /// The replica's end.
    pub replica: ReplicaPhase,
    /// The primary's end.
    pub primary: PrimaryPhase,
    /// Whether the replica asked with SYNC on this connection, which both ends know.
    pub with_sync: bool,
    /// Up: the request.
    pub request: Option<Request>,
    /// Up: the newest acknowledgement.
    pub acknowledgement: Option<Offset>,
    /// Down, first: the reply.
    pub reply: Option<Reply>,
    /// Down, second: the snapshot.
    pub payload: Option<Snapshot>,
    /// Down, third: the stream, whether it is on its way or still queued at the primary.
    pub stream: Stream,
    /// At the replica, during a transfer: the label that was announced.
    pub announced: Option<Label>,
    /// At the primary: the highest acknowledgement on this connection.
    pub acknowledged: Option<Offset>,
    /// At the primary: the cut of the replica's snapshot, until the stream after it is let go. Only till then is it
    /// queued; what a replica that is online has not read counts as sent.
    pub unsent_from: Option<Offset>,
    /// At some primary: an older connection.
    pub stale: Option<Connection>,
}

impl Link {
    /// No link.
    pub const ABSENT: Self = Self {
        wire: Wire::Absent,
        replica: ReplicaPhase::Idle,
        primary: PrimaryPhase::None,
        with_sync: false,
        request: None,
        acknowledgement: None,
        reply: None,
        payload: None,
        stream: Stream {
            tokens: Tokens::EMPTY,
            starts_with_tail: false,
        },
        announced: None,
        acknowledged: None,
        unsent_from: None,
        stale: None,
    };

    /// Loses everything that is on its way, and whatever the primary has queued. What the primary knew of the
    /// replica's progress is dead with the connection: nothing reads it again.
    pub fn lose_everything(&mut self) {
        self.acknowledged = None;
        self.request = None;
        self.acknowledgement = None;
        self.reply = None;
        self.payload = None;
        self.stream = Stream::default();
    }

    /// The primary's end forgets the connection.
    pub fn primary_forgets(&mut self) {
        self.primary = PrimaryPhase::None;
        self.unsent_from = None;
        self.settle();
    }

    /// The replica's end forgets the connection.
    pub fn replica_forgets(&mut self) {
        self.replica = ReplicaPhase::Idle;
        self.announced = None;
        self.settle();
    }

    fn settle(&mut self) {
        if self.replica == ReplicaPhase::Idle && self.primary == PrimaryPhase::None {
            self.wire = Wire::Absent;
            self.with_sync = false;
        }
    }

    /// Whether the replica applies the stream.
    pub const fn is_connected(&self) -> bool {
        matches!(
            self.replica,
            ReplicaPhase::Connected | ReplicaPhase::ConnectedMute
        )
    }
}
