//! The variables: nodes, the links between them, what truly happened, and a stranger.
//!
//! A [`World`] is one state of the specification: flat, inline, `Copy`. Every field says what it stands for
//! on a real server. What is left out, with the reason:
//!
//! * The handshake before PSYNC: it decides nothing (`PROTOCOL §2.1`).
//! * Promotion, demotion and chains: a node has a [`Role`] and a link to its parent, but in this version the
//!   roles do not change. A replica's own ID and backlog, which only its sub-replicas would see, stay unset.
//! * SELECT, MULTI, expiry: commands of two units stand for them all.
//! * A process that is down: restarting is one step; the others simply do not move meanwhile.
//! * A link closed in an orderly way, whose last bytes are still read: reading them first and losing the
//!   link after is the same to the reader, and the sender does not look into the pipe.

use crate::decision::{Answer, IdNumber, Standing, Window};
use crate::history::History;
use crate::offset::{NextByte, ReplOffset};
use crate::rulebook::Framings;
use crate::token::{COMMAND_UNITS, Data, MAX_WRITES, Token, Tokens, WriteNumber};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How many nodes a world has.
pub const NODES: usize = 2;

/// How many replication IDs a world can tell apart at one time, [`Id::ANONYMOUS`] not counted.
pub const IDS: usize = 7;

/// An offset, counted in units of the model.
pub type Offset = ReplOffset<i16>;

/// The number of a unit of the model.
pub type Byte = NextByte<i16>;

/// A node of the topology.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum NodeId {
    /// The node that begins as the primary.
    Primary,
    /// The node that begins as its replica.
    Replica,
}

impl NodeId {
    /// Every node, in the order of the arrays.
    pub const ALL: [Self; NODES] = [Self::Primary, Self::Replica];

    /// The name a diagram uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

/// A replication ID or, in era `psync`, a run ID: the name of a history. Only equality means anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u8);

impl Id {
    /// The name of a node that nobody can know yet: it has no backlog, so it was never told to anyone.
    pub const ANONYMOUS: Self = Self(0);

    /// As the decisions want it; `None` for a name nobody can know.
    pub fn number(self) -> Option<IdNumber> {
        (self != Self::ANONYMOUS).then_some(u64::from(self.0))
    }
}

/// A replication ID with an offset: the name of a state of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The history.
    pub id: Id,
    /// How much of it.
    pub offset: Offset,
}

/// What a node is at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It takes writes and feeds replicas.
    Primary,
    /// It follows the node named.
    ReplicaOf(NodeId),
}

/// The former name of a primary's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Secondary {
    /// The name: `master_replid2`.
    pub id: Id,
    /// The first byte no longer common: `second_repl_offset`.
    pub limit: Byte,
}

/// The most recent part of the stream, kept for replicas that come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backlog {
    /// The first byte held: `repl_backlog_first_byte_offset`.
    pub first: Byte,
    /// What it holds, which a wrong server may get wrong.
    pub tokens: Tokens,
}

/// A snapshot with the label it was cut at, if the file or the sender's memory has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Saved {
    /// The data.
    pub data: Data,
    /// The label stored beside them: `repl-id`, `repl-offset`.
    pub label: Option<Label>,
}

/// How a snapshot is sent.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// Through a file, `$<length>`: the stream follows at once.
    Disk,
    /// Directly, `$EOF:<mark>`: the stream waits for the first acknowledgement.
    Socket,
}

impl Framing {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Disk, Self::Socket];

    /// Whether an era knows it.
    pub fn exists_in(self, framings: Framings) -> bool {
        self == Self::Disk || framings == Framings::DiskOrSocket
    }
}

/// A snapshot being made, or on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The data at the cut.
    pub data: Data,
    /// The label of the cut.
    pub label: Label,
    /// How it is sent.
    pub framing: Framing,
}

/// One server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Primary, or replica of whom.
    pub role: Role,
    /// Its data set.
    pub data: Data,
    /// The name of its history: `master_replid`, in era `psync` its run ID. Anonymous without a backlog.
    pub id: Id,
    /// How much of that history it has produced: `master_repl_offset`.
    pub offset: Offset,
    /// The former name of its history.
    pub secondary: Option<Secondary>,
    /// The recent stream, absent until a first replica came and after the backlog has expired.
    pub backlog: Option<Backlog>,
    /// The snapshot it is making for its replicas.
    pub snapshot: Option<Snapshot>,
    /// The snapshot file on its disk.
    pub saved: Option<Saved>,
    /// On a replica, what it has of its primary's history: the cached primary, or the live one.
    pub following: Option<Label>,
    /// On a replica, the command of which it has read the head but not the tail.
    pub half: Option<Token>,
}

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
}

/// Commands on their way down, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stream {
    /// The commands.
    pub tokens: Tokens,
    /// Whether of the first one only the tail is left.
    pub starts_with_tail: bool,
}

/// An older connection of the same replica that the primary still believes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stale {
    /// What the primary thinks of it.
    pub phase: PrimaryPhase,
    /// Where the part of the stream begins that is queued for it: later blocks stay.
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
    /// Up: the request.
    pub request: Option<Request>,
    /// Up: the newest acknowledgement.
    pub acknowledgement: Option<Offset>,
    /// Down, first: the reply.
    pub reply: Option<Reply>,
    /// Down, second: the snapshot.
    pub payload: Option<Snapshot>,
    /// Down, third: the stream. What the primary has queued and not yet sent is here too.
    pub stream: Stream,
    /// At the replica, during a transfer: the label that was announced.
    pub announced: Option<Label>,
    /// At the primary: the highest acknowledgement on this connection.
    pub acknowledged: Option<Offset>,
    /// At the primary: where the part of the stream begins that waits for the snapshot to be through.
    pub unsent_from: Option<Offset>,
    /// At the primary: an older connection.
    pub stale: Option<Stale>,
}

/// A question that somebody who was never a replica puts to a primary, to test the edges of its answer.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Under the current ID, the byte just before the backlog.
    BelowFirst,
    /// Under the current ID, the first byte of the backlog.
    First,
    /// Under the current ID, the byte just after the last.
    JustAfterLast,
    /// Under the current ID, one further.
    OneBeyond,
    /// Under the secondary ID, the first byte of the backlog.
    SecondaryFirst,
    /// Under the secondary ID, the last byte it may ask for.
    SecondaryLimit,
    /// Under the secondary ID, one further.
    SecondaryBeyond,
    /// Under an ID nobody ever had, the byte just after the last.
    ForeignId,
}

impl Question {
    /// Every question.
    pub const ALL: [Self; 8] = [
        Self::BelowFirst,
        Self::First,
        Self::JustAfterLast,
        Self::OneBeyond,
        Self::SecondaryFirst,
        Self::SecondaryLimit,
        Self::SecondaryBeyond,
        Self::ForeignId,
    ];
}

/// The stranger: away, or with an answer in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stranger {
    /// What was asked.
    pub question: Question,
    /// What the primary said.
    pub answer: Answer,
}

/// One state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The servers.
    pub nodes: [Node; NODES],
    /// For each node, its link to its primary; unused for a primary.
    pub links: [Link; NODES],
    /// What truly happened under each ID; the anonymous one has none.
    pub histories: [History; IDS],
    /// The stranger, if there.
    pub stranger: Option<Stranger>,
    /// Which properties the last step broke; see [`crate::property`]. Zero in every world of a right server.
    pub broken: u32,
}

impl Node {
    const fn new(role: Role) -> Self {
        Self {
            role,
            data: Data::EMPTY,
            id: Id::ANONYMOUS,
            offset: ReplOffset(0),
            secondary: None,
            backlog: None,
            snapshot: None,
            saved: None,
            following: None,
            half: None,
        }
    }

    /// The label of a primary's data.
    pub const fn label(&self) -> Label {
        Label {
            id: self.id,
            offset: self.offset,
        }
    }

    /// What this node consults when it is asked to continue, with a backlog of `capacity` weighing commands.
    pub fn standing(&self, capacity: usize) -> Standing {
        Standing {
            id: self.id.number(),
            secondary: self
                .secondary
                .and_then(|former| Some((former.id.number()?, former.limit.wide()))),
            window: self.backlog.map(|backlog| Window {
                first: backlog.first.wide(),
                end: self.offset.wide(),
                capacity: capacity as i64 * COMMAND_UNITS,
            }),
        }
    }
}

impl Link {
    /// No link.
    pub const ABSENT: Self = Self {
        wire: Wire::Absent,
        replica: ReplicaPhase::Idle,
        primary: PrimaryPhase::None,
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
        }
    }

    /// Whether the replica applies the stream.
    pub const fn is_connected(&self) -> bool {
        matches!(
            self.replica,
            ReplicaPhase::Connected | ReplicaPhase::ConnectedMute
        )
    }

    /// Whether the primary believes in this connection or an older one.
    pub const fn is_known_to_primary(&self) -> bool {
        !matches!(self.primary, PrimaryPhase::None) || self.stale.is_some()
    }
}

impl World {
    /// A fresh pair: two empty servers, the second configured to follow the first.
    pub const fn pair() -> Self {
        Self {
            nodes: [
                Node::new(Role::Primary),
                Node::new(Role::ReplicaOf(NodeId::Primary)),
            ],
            links: [Link::ABSENT; NODES],
            histories: [History::beginning(ReplOffset(0), Data::EMPTY); IDS],
            stranger: None,
            broken: 0,
        }
    }

    /// A node.
    pub const fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// A node, to change it.
    pub const fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// The link of a replica to its primary.
    pub const fn link(&self, replica: NodeId) -> &Link {
        &self.links[replica as usize]
    }

    /// The same, to change it.
    pub const fn link_mut(&mut self, replica: NodeId) -> &mut Link {
        &mut self.links[replica as usize]
    }

    /// Whom a node follows.
    pub const fn parent(&self, replica: NodeId) -> Option<NodeId> {
        match self.node(replica).role {
            Role::Primary => None,
            Role::ReplicaOf(parent) => Some(parent),
        }
    }

    /// The nodes that follow `parent`.
    pub fn replicas_of(&self, parent: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        NodeId::ALL
            .into_iter()
            .filter(move |&node| self.parent(node) == Some(parent))
    }

    /// Whether a node is a primary.
    pub const fn is_primary(&self, node: NodeId) -> bool {
        matches!(self.node(node).role, Role::Primary)
    }

    /// What truly happened under an ID; `None` for the anonymous one.
    pub fn history(&self, id: Id) -> Option<&History> {
        (id != Id::ANONYMOUS).then(|| &self.histories[usize::from(id.0) - 1])
    }

    /// The same, to change it.
    pub fn history_mut(&mut self, id: Id) -> Option<&mut History> {
        (id != Id::ANONYMOUS).then(|| &mut self.histories[usize::from(id.0) - 1])
    }

    /// Names a new history: the lowest ID to which nothing in the world refers, nor did `before` the step: a
    /// name is not dropped and given to another history in one step.
    ///
    /// # Panics
    /// When all [`IDS`] are in use: the scope is too wide for this representation.
    pub fn name_history(&mut self, before: &Self, history: History) -> Id {
        let used = self.ids_in_use() | before.ids_in_use();
        let free = (1..=IDS as u8).find(|&id| used >> id & 1 == 0);
        let id = Id(free.expect("a world never holds more names than there are places for one"));
        *self.history_mut(id).expect("a named history has a place") = history;
        id
    }

    /// The number of the next write: one more than any in the world.
    ///
    /// # Panics
    /// When [`MAX_WRITES`] is exceeded: the scope is too wide for this representation.
    pub fn next_write(&self) -> WriteNumber {
        let highest = self.writes_in_use().writes().last().unwrap_or(0);
        assert!(
            highest < MAX_WRITES,
            "more than {MAX_WRITES} writes that something distinguishes"
        );
        highest + 1
    }
}
