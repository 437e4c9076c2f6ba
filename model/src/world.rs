//! The variables: nodes, the links between them, what truly happened, and a stranger.
//!
//! A [`World`] is one state of the specification: flat, inline, `Copy`. Every field says what it stands for
//! on a real server. What is left out, with the reason:
//!
//! * The handshake before PSYNC: it decides nothing (`PROTOCOL §2.1`).
//! * What a command says: writes differ in their numbers and in the database they were made in, nothing else. One
//!   write stands for all of a transaction; keys and their expiry do not exist.
//! * A process that is down: restarting is one step; the others simply do not move meanwhile.
//! * A primary that drops a replica because of its output limit: a cut that the primary notices first.
//! * A link closed in an orderly way, whose last bytes are still read: reading them first and losing the
//!   link after is the same to the reader, and the sender does not look into the pipe.

pub mod canonical;
mod fields;
pub mod packed;
pub mod squeezed;
mod word;

use crate::decision::{Answer, IdNumber, Standing, Window};
use crate::history::History;
pub use crate::link::{
    Connection, ErrorReply, Link, PrimaryPhase, ReplicaPhase, Reply, Request, Stream, Wire,
};
use crate::offset::{NextByte, ReplOffset};
use crate::parts::Parts;
use crate::rulebook::Framings;
use crate::token::{Begun, COMMAND_UNITS, Data, Database, MAX_WRITES, Tokens, WriteNumber};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How many nodes a world has room for.
pub const MAX_NODES: usize = 4;

/// How many replication IDs a world can tell apart at one time, [`Id::ANONYMOUS`] not counted.
pub const IDS: usize = 12;

/// An offset, counted in units of the model.
pub type Offset = ReplOffset<i16>;

/// The number of a unit of the model.
pub type Byte = NextByte<i16>;

/// A node of the topology, named after its part at the beginning; roles change.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum NodeId {
    /// The node that begins as the primary.
    Primary,
    /// The node that begins as its replica.
    Replica,
    /// The third node: a replica of the primary, or of the replica.
    Second,
    /// The fourth node.
    Third,
}

impl NodeId {
    /// Every node there can be, in the order of the arrays.
    pub const ALL: [Self; MAX_NODES] = [Self::Primary, Self::Replica, Self::Second, Self::Third];

    /// What people call it, in sentences and diagrams.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Second => "second replica",
            Self::Third => "third replica",
        }
    }
}

/// A replication ID or, in era `psync`, a run ID: the name of a history. Only equality means anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u8);

impl Id {
    /// The name of a node without a backlog, which was told to nobody. A real server draws a random ID here; since it
    /// cannot be asked for, the model gives it no number.
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
    /// The database the stream is in at that label: `repl-stream-db`. Absent to 3.2, and where there is only one.
    pub database: Option<Database>,
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
    /// The database the stream is in at the cut: `repl-stream-db`. Absent to 3.2, and where there is only one.
    pub database: Option<Database>,
}

/// One server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Primary, or replica of whom.
    pub role: Role,
    /// Its data set.
    pub data: Data,
    /// The name of its history: `master_replid`, to 3.2 its run ID. Anonymous until somebody can know it.
    pub id: Id,
    /// How much of that history it has produced or, as a replica from 4.0 on, applied: `master_repl_offset`.
    pub offset: Offset,
    /// The former name of its history.
    pub secondary: Option<Secondary>,
    /// The recent stream: absent while there was nobody to keep it for, and after it has expired.
    pub backlog: Option<Backlog>,
    /// The snapshot it is making for its replicas.
    pub snapshot: Option<Snapshot>,
    /// The snapshot file on its disk.
    pub saved: Option<Saved>,
    /// On a replica, what it has of its primary's history: the cached primary, or the live one.
    pub following: Option<Label>,
    /// On a replica, what it has read and not executed.
    pub begun: Begun,
    /// The database its own stream is in: `slaveseldb`. `None` when the next write must be preceded by SELECT.
    pub stream_database: Option<Database>,
    /// On a replica, the database in which it executes what it reads: that of the client it keeps for its primary.
    pub selected: Database,
    /// The ID of the last `+FULLRESYNC` line it read; kept only where a fallback to SYNC uses it.
    pub told: Id,
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

    /// Whether it is asked under the secondary ID.
    pub const fn is_about_former_name(self) -> bool {
        matches!(
            self,
            Self::SecondaryFirst | Self::SecondaryLimit | Self::SecondaryBeyond
        )
    }
}

/// The stranger: away, or with an answer in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stranger {
    /// What was asked.
    pub question: Question,
    /// What the primary said.
    pub answer: Answer,
}

/// One state. Nodes, links and histories are changed through functions that note what somebody has in hand, so that an
/// engine need not look at the rest.
#[derive(Clone, Copy, Debug, Eq)]
pub struct World {
    /// How many nodes there are; the places behind them stay as they were made.
    pub count: u8,
    /// For each node, its link to its primary; unused for a primary.
    links: [Link; MAX_NODES],
    /// The servers.
    nodes: [Node; MAX_NODES],
    /// What truly happened under each ID; the anonymous one has none.
    histories: [History; IDS],
    /// How many of the histories may have anything in them; those behind are blank.
    named: u8,
    /// The stranger, if there.
    pub stranger: Option<Stranger>,
    /// Which properties the last step broke; see [`crate::property`]. Zero in every world of a right server.
    pub broken: u32,
    /// The parts that somebody had in hand to change them, since an engine has emptied this: whatever else is in a world
    /// is as before. Not part of the state.
    pub(crate) touched: Parts,
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
            begun: Begun::NOTHING,
            stream_database: None,
            selected: Database::First,
            told: Id::ANONYMOUS,
        }
    }

    /// The label of its data under its own name.
    pub const fn label(&self) -> Label {
        Label {
            id: self.id,
            offset: self.offset,
        }
    }

    /// Whether it has a history of its own: a name, a numbering or a backlog.
    pub fn has_own_history(&self) -> bool {
        self.id != Id::ANONYMOUS
            || self.offset != ReplOffset(0)
            || self.secondary.is_some()
            || self.backlog.is_some()
    }

    /// The node without a history of its own.
    pub fn forget_own_history(&mut self) {
        self.id = Id::ANONYMOUS;
        self.offset = ReplOffset(0);
        self.secondary = None;
        self.backlog = None;
    }

    /// What this node consults when it is asked to continue, with a backlog of `capacity` weighing commands. Without a
    /// backlog it continues nobody, and the former name is as good as forgotten: the next backlog clears it.
    pub fn standing(&self, capacity: usize) -> Standing {
        let former = self.secondary.filter(|_| self.backlog.is_some());
        Standing {
            id: self.id.number(),
            secondary: former.and_then(|former| Some((former.id.number()?, former.limit.wide()))),
            window: self.backlog.map(|backlog| Window {
                first: backlog.first.wide(),
                end: self.offset.wide(),
                capacity: capacity as i64 * COMMAND_UNITS,
            }),
        }
    }
}

/// How the nodes begin: who follows whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// A primary and its replica.
    #[default]
    Pair,
    /// A primary and two replicas of it.
    Fan,
    /// A primary, its replica, and a replica of that.
    Chain,
    /// A chain of four.
    LongChain,
}

impl Topology {
    /// The parent of each node; `None` for a primary.
    const fn parents(self) -> &'static [Option<NodeId>] {
        match self {
            Self::Pair => &[None, Some(NodeId::Primary)],
            Self::Fan => &[None, Some(NodeId::Primary), Some(NodeId::Primary)],
            Self::Chain => &[None, Some(NodeId::Primary), Some(NodeId::Replica)],
            Self::LongChain => &[
                None,
                Some(NodeId::Primary),
                Some(NodeId::Replica),
                Some(NodeId::Second),
            ],
        }
    }

    /// How many nodes it has.
    pub const fn nodes(self) -> usize {
        self.parents().len()
    }

    /// Fresh and empty servers, each configured to follow its parent.
    pub fn beginning(self) -> World {
        let mut world = World::of_primaries(self.nodes());
        for (place, parent) in self.parents().iter().enumerate() {
            if let Some(parent) = parent {
                world.nodes[place].role = Role::ReplicaOf(*parent);
            }
        }
        world
    }
}

/// Only the nodes there are count.
impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        let there = ..usize::from(self.count);
        self.count == other.count
            && self.links[there] == other.links[there]
            && self.nodes[there] == other.nodes[there]
            && self.histories == other.histories
            && self.stranger == other.stranger
            && self.broken == other.broken
    }
}

/// Only the nodes there are count.
impl std::hash::Hash for World {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.pack().hash(state);
    }
}

impl World {
    /// Fresh and empty servers that follow nobody.
    pub(crate) fn of_primaries(count: usize) -> Self {
        Self {
            count: count as u8,
            nodes: [Node::new(Role::Primary); MAX_NODES],
            links: [Link::ABSENT; MAX_NODES],
            histories: [History::BLANK; IDS],
            named: 0,
            stranger: None,
            broken: 0,
            touched: Parts::NONE,
        }
    }

    /// A fresh pair: two empty servers, the second configured to follow the first.
    pub fn pair() -> Self {
        Topology::Pair.beginning()
    }

    /// Makes these parts what they are in another world of as many nodes.
    pub(crate) fn put_back(&mut self, before: &Self, parts: Parts) {
        for node in parts.nodes() {
            self.nodes[node as usize] = before.nodes[node as usize];
        }
        for replica in parts.links() {
            self.links[replica as usize] = before.links[replica as usize];
        }
        for id in parts.histories() {
            let place = usize::from(id.0) - 1;
            self.histories[place] = before.histories[place];
        }
        self.named = before.named;
        self.stranger = before.stranger;
        self.broken = before.broken;
    }

    /// Which parts are not as in another world of as many nodes.
    pub fn difference(&self, other: &Self) -> Parts {
        self.pack().difference(&other.pack())
    }

    /// Every node there is, in the order of the arrays.
    pub fn node_ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        const ALL: &[NodeId] = &NodeId::ALL;
        ALL[..usize::from(self.count)].iter().copied()
    }

    /// A node.
    pub const fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// A node, to change it.
    pub const fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.touched = self.touched.and(Parts::node(id));
        &mut self.nodes[id as usize]
    }

    /// The link of a replica to its primary.
    pub const fn link(&self, replica: NodeId) -> &Link {
        &self.links[replica as usize]
    }

    /// The same, to change it.
    pub const fn link_mut(&mut self, replica: NodeId) -> &mut Link {
        self.touched = self.touched.and(Parts::link(replica));
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
        self.node_ids()
            .filter(move |&node| self.parent(node) == Some(parent))
    }

    /// Every connection that `primary` believes in: whose it is, how far it has come, and from where on the
    /// stream has yet to be sent to it.
    pub fn connections_of(&self, primary: NodeId) -> impl Iterator<Item = Connection> + '_ {
        let current = self.replicas_of(primary).filter_map(move |replica| {
            let link = self.link(replica);
            (link.primary != PrimaryPhase::None).then_some(Connection {
                at: primary,
                phase: link.primary,
                unsent_from: link.unsent_from,
            })
        });
        let older = self.node_ids().filter_map(|node| self.link(node).stale);
        current.chain(older.filter(move |older| older.at == primary))
    }

    /// Whether a node answers requests: a primary always, a replica while it is connected to its own primary.
    pub fn is_serving(&self, node: NodeId) -> bool {
        self.is_primary(node) || self.link(node).is_connected()
    }

    /// Whether a node is a primary.
    pub const fn is_primary(&self, node: NodeId) -> bool {
        matches!(self.node(node).role, Role::Primary)
    }

    /// The histories that may have anything in them.
    pub fn named_histories(&self) -> &[History] {
        &self.histories[..usize::from(self.named)]
    }

    /// What truly happened under an ID; `None` for the anonymous one.
    pub fn history(&self, id: Id) -> Option<&History> {
        (id != Id::ANONYMOUS).then(|| &self.histories[usize::from(id.0) - 1])
    }

    /// The same, to change it.
    pub fn history_mut(&mut self, id: Id) -> Option<&mut History> {
        (id != Id::ANONYMOUS).then(|| {
            self.touched = self.touched.and(Parts::history(id));
            self.named = self.named.max(id.0);
            &mut self.histories[usize::from(id.0) - 1]
        })
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
        let highest = self.writes_in_use().newest();
        assert!(
            highest < MAX_WRITES,
            "more than {MAX_WRITES} writes that something distinguishes"
        );
        highest + 1
    }
}
