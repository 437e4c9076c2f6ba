//! Every decision in which versions differ, or which history shows people get wrong, as one entry each.
//!
//! A [`Rulebook`] is a value. An [`Era`] is a named rulebook: a generation of the protocol as it should be.
//! A [`Fault`](crate::fault::Fault) is an era with exactly one entry wrong. The rules read the rulebook, and
//! nothing else in the specification knows versions. In each entry the right variants come first; a wrong
//! one says so and cites the catalogue of flaws. The file is long because it is one table, an entry after the
//! other, that is looked up rather than read through.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A generation of the replication protocol (`PROTOCOL §5`).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Era {
    /// Redis 2.6: SYNC only, no offsets, every reconnection is a full resynchronization.
    Sync,
    /// Redis 2.8 to 3.2: a run ID names the process, an offset and a backlog allow continuing.
    Psync,
    /// Redis 4.0 to 6.2: a replication ID names the history and survives restarts of replicas.
    Psync2,
    /// Redis 7.0 on: the label survives an aborted transfer, a restarted primary can continue its replicas.
    #[value(name = "psync2-v7")]
    #[serde(rename = "psync2-v7")]
    Psync2V7,
}

impl Era {
    /// All eras, oldest first.
    pub const ALL: [Self; 4] = [Self::Sync, Self::Psync, Self::Psync2, Self::Psync2V7];

    /// The name used on every command line and in every trace.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Psync => "psync",
            Self::Psync2 => "psync2",
            Self::Psync2V7 => "psync2-v7",
        }
    }

    /// The flaws that servers of this era still have, with their place in the catalogue; see
    /// [`Rulebook::as_shipped`].
    pub const fn shipped_flaws(self) -> &'static [&'static str] {
        const FALLBACK: &str = "after a fallback to SYNC the copy is called by the ID of the last +FULLRESYNC line, \
                                and counted from -1 (FLAWS B-01)";
        const RUN_ID: &str = "a run ID stays when the role of its process changes, and numbers another history from \
                              the beginning (FLAWS F-16)";
        const TRANSACTION: &str = "what a transaction wrote before its REPLICAOF took effect, and is not in the stream \
                                   (FLAWS F-21)";
        match self {
            Self::Sync => &[],
            Self::Psync => &[FALLBACK, RUN_ID],
            Self::Psync2 => &[FALLBACK],
            Self::Psync2V7 => &[FALLBACK, TRANSACTION],
        }
    }

    /// The rulebook of this era, every entry right.
    pub const fn rulebook(self) -> Rulebook {
        match self {
            Self::Sync => SYNC,
            Self::Psync => PSYNC,
            Self::Psync2 => PSYNC2,
            Self::Psync2V7 => PSYNC2_V7,
        }
    }
}

impl std::fmt::Display for Era {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Declares the entries: one enum each, with the section it comes from in its documentation.
macro_rules! entries {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? })+) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ })+
    };
}

entries! {
    /// What a replica can say about the past when it connects (`PROTOCOL §2.2`, `§4.2`).
    Identity {
        /// Nothing: the command is SYNC.
        None,
        /// The run ID of the primary's process.
        RunId,
        /// The replication ID of the history, with one predecessor.
        ReplicationId,
    }
    /// Whether the ID of a request is compared at all (`PROTOCOL §3.1`).
    IdCheck {
        /// It must be the current ID, or the secondary one within its limit.
        Compared,
        /// Wrong: any ID will do (`FLAWS B-12`).
        Ignored,
    }
    /// The highest byte a request may ask for (`PROTOCOL §3.1`).
    UpperBound {
        /// The byte just after the last one: a replica that has everything continues with nothing.
        JustAfterLast,
        /// Wrong: the last byte, so that a replica that has everything is refused (`FLAWS B-16`).
        Last,
        /// Wrong: one byte further, which was never produced (`FLAWS F-01`).
        OneBeyond,
        /// Wrong: the first byte held plus the configured size, not the bytes held (`FLAWS B-17`).
        ByCapacity,
    }
    /// The lowest byte a request may ask for (`PROTOCOL §3.1`).
    LowerBound {
        /// The first byte of the backlog.
        FirstHeld,
        /// Wrong: anything; what is missing is skipped (`FLAWS F-02`).
        Ignored,
    }
    /// Whether the limit of the secondary ID is looked at (`PROTOCOL §3.1`).
    SecondaryCheck {
        /// A request under the secondary ID must not lie beyond its limit.
        UpToLimit,
        /// Wrong: the secondary ID is as good as the current one (`FLAWS F-04`).
        Ignored,
    }
    /// What is remembered as the limit of the secondary ID (`PROTOCOL §3.7-4`).
    SecondaryLimit {
        /// The first byte after the common history.
        NextByte,
        /// Wrong: the offset, one less, which refuses the replica that has everything (`FLAWS F-03`).
        Offset,
    }
    /// How a new backlog makes every label given out earlier unusable (`PROTOCOL §3.6`).
    BacklogBirth {
        /// It does not: there is no backlog in this era.
        Never,
        /// One byte of the numbering is skipped (to 3.2).
        SkipsOneByte,
        /// The history gets a fresh ID (from 4.0).
        FreshId,
        /// Wrong: it goes on as if nothing had happened (`FLAWS F-06`).
        Plain,
    }
    /// What the primary calls itself after its backlog has expired (`PROTOCOL §3.6`).
    BacklogExpiry {
        /// The same: the next backlog skips a byte (to 3.2).
        KeepsId,
        /// Something nobody knows, and the secondary ID goes (from 4.0.3). Keeping the ID was `FLAWS B-03`.
        ForgetsId,
    }
    /// How the backlog is cut to its size (`PROTOCOL §3.6`).
    Trim {
        /// To the byte, always (to 6.2).
        Exact,
        /// By blocks, and never a block that waits for a replica's snapshot to be through (from 7.0).
        UnsentBlocksStay,
    }
    /// What becomes of a snapshot for which nobody waits any more (`PROTOCOL §3.4`).
    OrphanedSnapshot {
        /// It goes on to its end (to 6.0; the era `psync2` has this).
        RunsOn,
        /// It is given up (from 6.2, where no snapshots are configured to be saved anyway).
        GivenUp,
    }
    /// Which offset `+FULLRESYNC` announces (`PROTOCOL §3.3`).
    FullLabel {
        /// The one at the moment the snapshot is cut.
        AtCut,
        /// Wrong: the one at the moment of the request (`FLAWS B-02`).
        AtRequest,
        /// Wrong: one more (`FLAWS F-05`).
        OneMore,
    }
    /// What a replica is told that joins a running snapshot (`PROTOCOL §3.2`).
    AttachLabel {
        /// The label the snapshot began with.
        OfSnapshot,
        /// Wrong: the offset of this moment (`FLAWS B-02`).
        Current,
    }
    /// What a replica that joins a running snapshot gets of the commands since the cut (`PROTOCOL §3.2`).
    AttachQueue {
        /// All of them.
        Copied,
        /// Wrong: none of them (`FLAWS B-20`).
        Lost,
    }
    /// From when on commands are queued for a replica that waits for a snapshot (`PROTOCOL §3.3`).
    Accumulation {
        /// From the cut.
        FromCut,
        /// Wrong: from the end of the snapshot (`FLAWS F-07`).
        FromEnd,
    }
    /// The ways a snapshot can be sent (`PROTOCOL §2.4`).
    Framings {
        /// Through a file, with its length in front.
        DiskOnly,
        /// Also directly, with a mark at the end; chosen by configuration.
        DiskOrSocket,
    }
    /// When the stream begins after a snapshot that was sent directly (`PROTOCOL §3.4`).
    StreamGate {
        /// At the first acknowledgement.
        FirstAcknowledgement,
        /// Wrong: at once, glued to the end mark (`FLAWS B-21`).
        PayloadEnd,
    }
    /// What the backlog holds (`PROTOCOL §6 S5`).
    BacklogCopy {
        /// The bytes of the stream.
        Exact,
        /// Wrong: other bytes than the replicas get (`FLAWS B-18`).
        Different,
    }
    /// When a command goes out to a replica (`PROTOCOL §2.5`).
    Sending {
        /// At once.
        AtOnce,
        /// Wrong: when the next one comes (`FLAWS B-39`).
        OneBehind,
    }
    /// What else is written on an established link (`PROTOCOL §6 S10`).
    StreamPurity {
        /// Nothing.
        Pure,
        /// Wrong: bytes that the primary does not count and the replica does (`FLAWS B-11`).
        StrayByte,
    }
    /// What a primary does at its start with the label it finds in its snapshot (`PROTOCOL §4.8`).
    RestartedPrimary {
        /// Nothing (to 6.2).
        ForgetsLabel,
        /// It becomes the secondary ID, with an empty backlog from there on (from 7.0).
        RemembersAsSecondary,
        /// Wrong: the primary goes on under the old ID (`FLAWS B-04`).
        AdoptsId,
    }
    /// Whether a saved snapshot carries the label of its data (`PROTOCOL §2.4`, `§4.8`).
    SavedLabel {
        /// No (to 3.2).
        None,
        /// Yes, the offset that was applied (from 4.0).
        Applied,
        /// Wrong: an offset newer than the data (`FLAWS B-10`).
        TooNew,
    }
    /// Which byte a replica asks for (`PROTOCOL §2.2`).
    NextRequest {
        /// The one after the last it has.
        OffsetPlusOne,
        /// Wrong: the last it has, once more (`FLAWS F-08`).
        Offset,
    }
    /// What becomes of a command read in part when the link is lost (`PROTOCOL §4.5`).
    PartialCommand {
        /// It is kept, and its bytes are counted (to 3.2).
        KeptAndCounted,
        /// It is dropped, and was never counted (2.6, which counts nothing, and from 4.0).
        Dropped,
        /// Wrong: it is dropped, but its bytes are counted (`FLAWS F-09`).
        DroppedYetCounted,
    }
    /// What becomes of a transaction of which EXEC has not come when the link is lost (`PROTOCOL §4.5`).
    OpenTransaction {
        /// It is kept, and its bytes are counted (to 3.2).
        KeptAndCounted,
        /// It is dropped, and was never counted (2.6, which counts nothing, and from 4.0).
        Dropped,
        /// Wrong: it is dropped, but each of its commands was counted as it came (`FLAWS F-18`).
        DroppedYetCounted,
    }
    /// How a transaction ends in the stream in which its primary becomes a replica (`PROTOCOL §4.6`).
    TransactionEnd {
        /// With EXEC, as every other.
        Exec,
        /// Wrong: not at all, because a replica adds nothing to a stream (`FLAWS B-08`).
        Missing,
        /// Wrong: none of the transaction is there, and yet it took effect (`FLAWS F-21`).
        Unsaid,
    }
    /// What a snapshot says of the database the stream is in (`PROTOCOL §2.4`).
    SnapshotDatabase {
        /// Nothing (to 3.2).
        Absent,
        /// Which one it is: `repl-stream-db` (from 4.0).
        Carried,
        /// Wrong: always the first (`FLAWS B-37`).
        AlwaysFirst,
    }
    /// Whether the stream selects its database anew after a snapshot was begun (`PROTOCOL §2.5`).
    SelectAfterSync {
        /// Before the next write.
        Again,
        /// Wrong: only when the database changes (`FLAWS F-19`).
        OnChange,
    }
    /// Whether the stream of a promoted replica selects its database anew (`PROTOCOL §4.6`).
    SelectAfterPromotion {
        /// Before the next write (from 4.0).
        Again,
        /// Its replicas have followed its own stream all along (to 3.2).
        OwnStreamGoesOn,
        /// Wrong: it goes on in the database where the replica stood (`FLAWS F-20`).
        OnChange,
    }
    /// What a lost link leaves behind at the replica (`PROTOCOL §4.5`).
    LinkLoss {
        /// The label, as cached primary.
        KeepsLabel,
        /// Nothing. Right for SYNC, elsewhere `FLAWS B-28`.
        LosesLabel,
    }
    /// What `+FULLRESYNC` does to the label the replica still has (`PROTOCOL §4.3`).
    FullReply {
        /// It goes at once, and with it the backlog and the replicas (to 6.2).
        DiscardsLabel,
        /// It stays until the snapshot is loaded (from 7.0).
        KeepsLabel,
        /// Wrong: it is replaced at once, before the data are (`FLAWS F-10`).
        AdoptsLabel,
    }
    /// When the old data go (`PROTOCOL §4.4`).
    Discard {
        /// When the whole snapshot has arrived.
        AfterSnapshot,
        /// Wrong: at `+FULLRESYNC`, with the label still in use (`FLAWS F-11`).
        AtReply,
    }
    /// What the ID in `+CONTINUE` does (`PROTOCOL §4.3`).
    ContinueId {
        /// There is none (to 3.2).
        NotSent,
        /// The replica calls its history by it from then on.
        Adopted,
        /// Wrong: the replica keeps the old name (`FLAWS F-12`).
        Ignored,
    }
    /// What `+CONTINUE` does to the replica's offset (`PROTOCOL §4.3`).
    ContinueOffset {
        /// Nothing.
        Kept,
        /// Wrong: it goes back. The model takes it back by one command (`FLAWS B-25`).
        GoesBack,
    }
    /// Whether a replica that was continued acknowledges what it gets (`PROTOCOL §2.6`).
    ContinueAcknowledgement {
        /// It does.
        Sent,
        /// Wrong: never again (`FLAWS B-31`).
        Never,
    }
    /// What a replica sends to its own replicas (`PROTOCOL §4.7`).
    Chaining {
        /// A stream of its own, made from the commands it has executed, under its own run ID (to 3.2).
        Regenerated,
        /// What it has applied of its primary's stream, unchanged, under the same ID (from 4.0).
        PassedThrough,
    }
    /// What a replica calls its history once it is promoted (`PROTOCOL §3.7-4`, `§4.6`).
    Promotion {
        /// Its run ID, as ever (to 3.2).
        KeepsRunId,
        /// A fresh ID; the old one becomes its secondary (from 4.0).
        ShiftsId,
        /// Wrong: it goes on under the ID of its former primary (`FLAWS B-12`).
        KeepsId,
        /// Wrong: a fresh ID, and the old one is forgotten (`FLAWS F-13`).
        ForgetsFormerId,
    }
    /// What becomes of the backlog of a replica that is promoted (`PROTOCOL §4.6`).
    PromotedBacklog {
        /// It is kept; to 3.2 only while somebody is connected to be continued from it.
        Kept,
        /// Wrong: it is freed at once (`FLAWS B-15`).
        Freed,
    }
    /// What a node may say about its past once it is told to follow another (`PROTOCOL §4.2`, `§4.6`).
    Demotion {
        /// Nothing: neither its own history nor that of its former primary (to 3.2).
        ForgetsLabel,
        /// Its label, its own if it was a primary (from 4.0).
        KeepsLabel,
        /// Wrong: its label, but its own numbering goes back. The model takes it back by one command
        /// (`FLAWS B-25`).
        KeepsLabelLosesOffset,
    }
    /// What a process does to its own numbering, under the run ID it keeps, when its role changes
    /// (`PROTOCOL §4.6`). From 4.0 on the numbering belongs to an ID, and the question does not arise.
    RoleNumbering {
        /// It never goes back.
        GoesOn,
        /// As shipped to 3.2: it restarts from zero, or from the former primary's offset (`FLAWS F-16`).
        StartsAgain,
    }
    /// When the replicas of a node are disconnected that is told to follow another (`PROTOCOL §4.6`).
    Demoted {
        /// At once (to 6.2).
        CutsReplicas,
        /// Only when its history changes (from 7.0).
        KeepsReplicas,
    }
    /// What becomes of a node's own replicas when its data are replaced (`PROTOCOL §4.4`).
    FullLoad {
        /// They are disconnected, to 6.2 already at the reply. From 4.0 on the ID and the offset become those of the
        /// snapshot, and an empty backlog begins there; to 3.2 run ID and offset stay, and there is no backlog until a
        /// replica comes.
        CutsReplicas,
        /// Wrong: they stay, and so does the old backlog (`FLAWS B-06`).
        KeepsReplicas,
    }
    /// What becomes of a node's own replicas when it is continued under a new ID (`PROTOCOL §3.7-6`).
    Renaming {
        /// They are disconnected, so that they hear of it.
        CutsReplicas,
        /// Wrong: they stay, under the old ID (`FLAWS F-14`).
        KeepsReplicas,
    }
    /// Whether a replica that is continued without a backlog of its own creates one (`PROTOCOL §3.6`).
    ContinueBacklog {
        /// It does (from 4.0.2; before 4.0 a replica has none).
        Created,
        /// Wrong: it has none until a replica of its own comes (`FLAWS B-14`).
        Missing,
    }
    /// What a replica does on an error that is known to pass (`PROTOCOL §4.3`).
    TransientError {
        /// It takes it for an error of any other kind, and asks with SYNC (to 3.2).
        LikeAnyOther,
        /// It keeps its label and asks again (from 4.0).
        AsksAgain,
        /// Wrong: it asks again, but has forgotten its label (`FLAWS B-24`).
        ForgetsLabel,
    }
    /// What a replica calls the history it gets by falling back to SYNC (`PROTOCOL §4.3`, `§6 X7`).
    SyncFallback {
        /// Nothing: it has no label until it is named one. No server does that yet.
        Nameless,
        /// As shipped: the ID of the last `+FULLRESYNC` line, counted from -1 (`FLAWS B-01`).
        KeepsStaleId,
    }
    /// What `CONFIG SET repl-backlog-size` does to the content (`PROTOCOL §3.6`).
    Resizing {
        /// It is discarded (to 6.2).
        Discards,
        /// It is kept as far as it fits (from 7.0).
        Keeps,
    }
    /// Which offset a replica acknowledges (`PROTOCOL §2.6`).
    Acknowledgement {
        /// What it has applied (to 3.2: read).
        Applied,
        /// Wrong: also what it has only begun to read (`FLAWS F-15`).
        Read,
    }
    /// When a primary sends PINGs (`PROTOCOL §2.5`).
    Pings {
        /// Whenever it has a backlog or a replica (to 3.2).
        WithBacklog,
        /// When it has a replica (from 4.0).
        WithReplica,
    }
}

/// One generation of the protocol, as a value: what the rules consult where versions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rulebook {
    /// See [`Identity`].
    pub identity: Identity,
    /// See [`IdCheck`].
    pub id_check: IdCheck,
    /// See [`UpperBound`].
    pub upper_bound: UpperBound,
    /// See [`LowerBound`].
    pub lower_bound: LowerBound,
    /// See [`SecondaryCheck`].
    pub secondary_check: SecondaryCheck,
    /// See [`SecondaryLimit`].
    pub secondary_limit: SecondaryLimit,
    /// See [`BacklogBirth`].
    pub backlog_birth: BacklogBirth,
    /// See [`BacklogExpiry`].
    pub backlog_expiry: BacklogExpiry,
    /// See [`Trim`].
    pub trim: Trim,
    /// See [`OrphanedSnapshot`].
    pub orphaned_snapshot: OrphanedSnapshot,
    /// See [`FullLabel`].
    pub full_label: FullLabel,
    /// See [`AttachLabel`].
    pub attach_label: AttachLabel,
    /// See [`AttachQueue`].
    pub attach_queue: AttachQueue,
    /// See [`Accumulation`].
    pub accumulation: Accumulation,
    /// See [`Framings`].
    pub framings: Framings,
    /// See [`StreamGate`].
    pub stream_gate: StreamGate,
    /// See [`BacklogCopy`].
    pub backlog_copy: BacklogCopy,
    /// See [`Sending`].
    pub sending: Sending,
    /// See [`StreamPurity`].
    pub stream_purity: StreamPurity,
    /// See [`RestartedPrimary`].
    pub restarted_primary: RestartedPrimary,
    /// See [`SavedLabel`].
    pub saved_label: SavedLabel,
    /// See [`NextRequest`].
    pub next_request: NextRequest,
    /// See [`PartialCommand`].
    pub partial_command: PartialCommand,
    /// See [`OpenTransaction`].
    pub open_transaction: OpenTransaction,
    /// See [`TransactionEnd`].
    pub transaction_end: TransactionEnd,
    /// See [`SnapshotDatabase`].
    pub snapshot_database: SnapshotDatabase,
    /// See [`SelectAfterSync`].
    pub select_after_sync: SelectAfterSync,
    /// See [`SelectAfterPromotion`].
    pub select_after_promotion: SelectAfterPromotion,
    /// See [`LinkLoss`].
    pub link_loss: LinkLoss,
    /// See [`FullReply`].
    pub full_reply: FullReply,
    /// See [`Discard`].
    pub discard: Discard,
    /// See [`ContinueId`].
    pub continue_id: ContinueId,
    /// See [`ContinueOffset`].
    pub continue_offset: ContinueOffset,
    /// See [`ContinueAcknowledgement`].
    pub continue_acknowledgement: ContinueAcknowledgement,
    /// See [`Chaining`].
    pub chaining: Chaining,
    /// See [`Promotion`].
    pub promotion: Promotion,
    /// See [`PromotedBacklog`].
    pub promoted_backlog: PromotedBacklog,
    /// See [`Demotion`].
    pub demotion: Demotion,
    /// See [`RoleNumbering`].
    pub role_numbering: RoleNumbering,
    /// See [`Demoted`].
    pub demoted: Demoted,
    /// See [`FullLoad`].
    pub full_load: FullLoad,
    /// See [`Renaming`].
    pub renaming: Renaming,
    /// See [`ContinueBacklog`].
    pub continue_backlog: ContinueBacklog,
    /// See [`TransientError`].
    pub transient_error: TransientError,
    /// See [`SyncFallback`].
    pub sync_fallback: SyncFallback,
    /// See [`Resizing`].
    pub resizing: Resizing,
    /// See [`Acknowledgement`].
    pub acknowledgement: Acknowledgement,
    /// See [`Pings`].
    pub pings: Pings,
}

impl Rulebook {
    /// Whether replicas ask with PSYNC at all.
    pub fn has_psync(&self) -> bool {
        self.identity != Identity::None
    }

    /// Whether a number of one history is used in another, or as it is. Then worlds that differ in absolute
    /// offsets are not the same, and the canonical form, which counts from zero, must not be used.
    pub fn compares_absolute_numbers(&self) -> bool {
        self.sync_fallback == SyncFallback::KeepsStaleId
            || self.role_numbering == RoleNumbering::StartsAgain
    }

    /// The generation as it is shipped: with the flaws that its servers still have.
    #[must_use]
    pub fn as_shipped(mut self) -> Self {
        if self.has_psync() {
            self.sync_fallback = SyncFallback::KeepsStaleId;
        }
        if self.identity == Identity::RunId {
            self.role_numbering = RoleNumbering::StartsAgain;
        }
        if self.demoted == Demoted::KeepsReplicas {
            self.transaction_end = TransactionEnd::Unsaid;
        }
        self
    }

    /// Whether an ID names a history, which nodes share, and not a process.
    pub fn names_histories(&self) -> bool {
        self.identity == Identity::ReplicationId
    }
}

const PSYNC2_V7: Rulebook = Rulebook {
    identity: Identity::ReplicationId,
    id_check: IdCheck::Compared,
    upper_bound: UpperBound::JustAfterLast,
    lower_bound: LowerBound::FirstHeld,
    secondary_check: SecondaryCheck::UpToLimit,
    secondary_limit: SecondaryLimit::NextByte,
    backlog_birth: BacklogBirth::FreshId,
    backlog_expiry: BacklogExpiry::ForgetsId,
    trim: Trim::UnsentBlocksStay,
    orphaned_snapshot: OrphanedSnapshot::GivenUp,
    full_label: FullLabel::AtCut,
    attach_label: AttachLabel::OfSnapshot,
    attach_queue: AttachQueue::Copied,
    accumulation: Accumulation::FromCut,
    framings: Framings::DiskOrSocket,
    stream_gate: StreamGate::FirstAcknowledgement,
    backlog_copy: BacklogCopy::Exact,
    sending: Sending::AtOnce,
    stream_purity: StreamPurity::Pure,
    restarted_primary: RestartedPrimary::RemembersAsSecondary,
    saved_label: SavedLabel::Applied,
    next_request: NextRequest::OffsetPlusOne,
    partial_command: PartialCommand::Dropped,
    open_transaction: OpenTransaction::Dropped,
    transaction_end: TransactionEnd::Exec,
    snapshot_database: SnapshotDatabase::Carried,
    select_after_sync: SelectAfterSync::Again,
    select_after_promotion: SelectAfterPromotion::Again,
    link_loss: LinkLoss::KeepsLabel,
    full_reply: FullReply::KeepsLabel,
    discard: Discard::AfterSnapshot,
    continue_id: ContinueId::Adopted,
    continue_offset: ContinueOffset::Kept,
    continue_acknowledgement: ContinueAcknowledgement::Sent,
    chaining: Chaining::PassedThrough,
    promotion: Promotion::ShiftsId,
    promoted_backlog: PromotedBacklog::Kept,
    demotion: Demotion::KeepsLabel,
    role_numbering: RoleNumbering::GoesOn,
    demoted: Demoted::KeepsReplicas,
    full_load: FullLoad::CutsReplicas,
    renaming: Renaming::CutsReplicas,
    continue_backlog: ContinueBacklog::Created,
    transient_error: TransientError::AsksAgain,
    sync_fallback: SyncFallback::Nameless,
    resizing: Resizing::Keeps,
    acknowledgement: Acknowledgement::Applied,
    pings: Pings::WithReplica,
};

const PSYNC2: Rulebook = Rulebook {
    trim: Trim::Exact,
    orphaned_snapshot: OrphanedSnapshot::RunsOn,
    restarted_primary: RestartedPrimary::ForgetsLabel,
    full_reply: FullReply::DiscardsLabel,
    demoted: Demoted::CutsReplicas,
    resizing: Resizing::Discards,
    ..PSYNC2_V7
};

const PSYNC: Rulebook = Rulebook {
    identity: Identity::RunId,
    backlog_birth: BacklogBirth::SkipsOneByte,
    backlog_expiry: BacklogExpiry::KeepsId,
    framings: Framings::DiskOnly,
    saved_label: SavedLabel::None,
    partial_command: PartialCommand::KeptAndCounted,
    open_transaction: OpenTransaction::KeptAndCounted,
    snapshot_database: SnapshotDatabase::Absent,
    select_after_promotion: SelectAfterPromotion::OwnStreamGoesOn,
    continue_id: ContinueId::NotSent,
    chaining: Chaining::Regenerated,
    promotion: Promotion::KeepsRunId,
    demotion: Demotion::ForgetsLabel,
    transient_error: TransientError::LikeAnyOther,
    pings: Pings::WithBacklog,
    ..PSYNC2
};

const SYNC: Rulebook = Rulebook {
    identity: Identity::None,
    backlog_birth: BacklogBirth::Never,
    partial_command: PartialCommand::Dropped,
    open_transaction: OpenTransaction::Dropped,
    link_loss: LinkLoss::LosesLabel,
    pings: Pings::WithReplica,
    ..PSYNC
};
