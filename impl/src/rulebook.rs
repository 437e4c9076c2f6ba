//! Every decision in which versions of the protocol differ, or which people are known to get wrong, as one value.
//!
//! An [`Era`] is a named [`Rulebook`]. The rest of the server knows no versions: it reads an entry and obeys it.
//! Variants that no correct server has carry the number of the flaw they reproduce; only `faults` selects them.
//! The file is long because it is one table, an entry after the other, that is looked up rather than read through.

use std::fmt;
use std::str::FromStr;

/// A generation of the protocol (PROTOCOL §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Redis 2.6: `SYNC` only, no offsets.
    Sync,
    /// Redis 2.8 to 3.2: run ID, offset, backlog.
    Psync,
    /// Redis 4.0 to 6.2: replication ID and secondary ID.
    Psync2,
    /// Redis 7.0: backlog in blocks, cached primary kept during a transfer, a restarted primary can continue.
    Psync2V7,
}

/// A name that is no era.
#[derive(Debug, thiserror::Error)]
#[error("`{given}` is no era; eras are sync, psync, psync2 and psync2-v7")]
pub struct UnknownEra {
    /// What was written instead.
    pub given: String,
}

impl Era {
    /// All eras, oldest first.
    pub const ALL: [Self; 4] = [Self::Sync, Self::Psync, Self::Psync2, Self::Psync2V7];

    /// The name used by `--era`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Psync => "psync",
            Self::Psync2 => "psync2",
            Self::Psync2V7 => "psync2-v7",
        }
    }

    /// Whether the era knows replication IDs that outlive a process (4.0 on).
    pub fn has_replication_ids(self) -> bool {
        matches!(self, Self::Psync2 | Self::Psync2V7)
    }

    /// Whether a server of this era has the command. Younger spellings (`REPLICAOF`) are understood in every era, so
    /// that one set of tools can drive them all; what an older replica would take for an answer is not.
    pub fn knows(self, command: &str) -> bool {
        self != Self::Sync || !matches!(command, "psync" | "wait")
    }

    /// The Redis version that `INFO` names, the one the rules were taken from.
    pub fn redis_version(self) -> &'static str {
        match self {
            Self::Sync => "2.6.17",
            Self::Psync => "3.2.13",
            Self::Psync2 => "6.2.14",
            Self::Psync2V7 => "7.0.15",
        }
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Era {
    type Err = UnknownEra;

    fn from_str(text: &str) -> Result<Self, UnknownEra> {
        let found = Self::ALL.into_iter().find(|era| era.name() == text);
        found.ok_or_else(|| UnknownEra {
            given: text.to_owned(),
        })
    }
}

/// What makes labels given out before a backlog existed unusable (PROTOCOL §3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BacklogBirth {
    /// No backlog at all.
    Never,
    /// One offset is skipped, so that every older request lies below the window.
    SkipsOneByte,
    /// The history gets a fresh name.
    FreshId,
    /// Wrong: neither. FLAWS F-06.
    SkipsNothing,
}

/// What happens to the name when the backlog expires (PROTOCOL §3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// The name stays; right only where birth skips a byte. FLAWS B-03 elsewhere.
    KeepsId,
    /// The history gets a fresh name.
    FreshId,
}

/// How the backlog is cut to its size (PROTOCOL §3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// Byte by byte, as a ring.
    Ring,
    /// By whole blocks, never one that a replica still has to be sent.
    Blocks,
}

/// Which request offsets the end of the window allows (PROTOCOL §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpperBound {
    /// Up to one beyond the last byte: a replica that has everything may continue.
    Inclusive,
    /// Wrong: the replica that has everything is refused. FLAWS B-16.
    Exclusive,
    /// Wrong: computed from the configured size. FLAWS B-17.
    BySize,
    /// Wrong: two beyond the last byte.
    OneBeyond,
}

/// Which requests the start of the window allows (PROTOCOL §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LowerBound {
    /// From the first byte held.
    Checked,
    /// Wrong: anything, served from the first byte held.
    Ignored,
}

/// How much of the requested name is looked at (PROTOCOL §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdCheck {
    /// It must be ours, or our secondary one.
    Checked,
    /// Wrong: any will do. FLAWS B-12.
    Ignored,
}

/// Up to where the secondary name is honoured (PROTOCOL §3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondaryLimit {
    /// Requests up to the offset at the shift plus one.
    NextByte,
    /// Wrong: one less.
    OneShort,
    /// Wrong: for ever.
    Ignored,
}

/// What a primary that loads a labelled snapshot does with the label (PROTOCOL §3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavedLabel {
    /// Nothing.
    Forgotten,
    /// It becomes the secondary name of a fresh one.
    Secondary,
    /// Wrong: it becomes the name. FLAWS B-04.
    Adopted,
}

/// When the line `+FULLRESYNC` is written (PROTOCOL §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullLine {
    /// At the cut, with the offset of the cut.
    AtCut,
    /// Wrong: on arrival of the request. FLAWS B-02.
    AtRequest,
    /// Wrong: at the cut, one too many.
    OneMore,
}

/// What a replica that attaches to a running snapshot is told and given (PROTOCOL §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// The label of the cut, and everything accumulated since.
    LabelAndPending,
    /// Wrong: the offset of now. FLAWS B-02.
    CurrentLabel,
    /// Wrong: nothing of what was accumulated. FLAWS B-20.
    LosesPending,
}

/// From when on the stream is kept for a replica that waits for its snapshot (PROTOCOL §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accumulation {
    /// From the cut.
    FromCut,
    /// Wrong: from the end of the snapshot.
    FromEnd,
}

/// When the stream follows a payload with an end mark (PROTOCOL §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstStream {
    /// After the first acknowledgement.
    AfterAcknowledgement,
    /// Wrong: at once. FLAWS B-21.
    AtOnce,
}

/// How the bytes of the stream reach a connected replica (PROTOCOL §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamWriting {
    /// All of them, and nothing else.
    Exact,
    /// Wrong: the newest command waits for its successor. FLAWS B-39.
    WithholdsLast,
    /// Wrong: one newline that nobody counted. FLAWS B-11.
    StrayNewline,
}

/// What the backlog keeps (PROTOCOL §6 S5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BacklogContent {
    /// What was sent.
    AsSent,
    /// Wrong: one byte differs. FLAWS B-18.
    Differs,
}

/// What a replica passes on to its own replicas (PROTOCOL §4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relay {
    /// The bytes it received, once applied.
    Verbatim,
    /// A stream of its own.
    Regenerated,
}

/// What becomes of the cached primary when `+FULLRESYNC` arrives (PROTOCOL §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheAtFullLine {
    /// Kept until the snapshot has arrived.
    Kept,
    /// Forgotten.
    Discarded,
}

/// What becomes of half a command when the link is lost (PROTOCOL §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HalfInput {
    /// Dropped, and asked for again.
    Dropped,
    /// Kept, and counted.
    Kept,
    /// Wrong: dropped, but counted.
    DroppedAndCounted,
}

/// What becomes of a transaction of which `EXEC` has not come when the link is lost (PROTOCOL §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenTransaction {
    /// Dropped, and asked for again.
    Dropped,
    /// Kept, and counted.
    Kept,
    /// Wrong: dropped, but each of its commands was counted as it came. FLAWS F-18.
    DroppedAndCounted,
}

/// How a transaction ends in the stream if it turns its primary into a replica (PROTOCOL §4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionEnd {
    /// As every other: what it wrote before is a whole unit.
    Exec,
    /// Wrong: not at all, because a replica adds nothing to a stream. FLAWS B-08.
    Missing,
    /// Wrong, and shipped from 7.0: nothing of it is in the stream, and yet it took effect. FLAWS F-21.
    Unsaid,
}

/// Which database a labelled snapshot says that the stream is in (PROTOCOL §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotDatabase {
    /// The one it is in.
    Carried,
    /// Wrong: the first, wherever it is. FLAWS B-37.
    AlwaysFirst,
}

/// Whether the stream selects its database anew after a snapshot for a replica was cut (PROTOCOL §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectAfterSync {
    /// Before the next write.
    Again,
    /// Wrong: only when the database changes. FLAWS F-19.
    OnChange,
}

/// Whether the stream of a promoted node selects its database anew (PROTOCOL §4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectAfterPromotion {
    /// Before the next write.
    Again,
    /// Only when the database changes: its replicas have followed its own stream all along.
    OwnStreamGoesOn,
    /// Wrong: it goes on in the database where the node stood as a replica. FLAWS F-20.
    OnChange,
}

/// Which byte a replica asks for (PROTOCOL §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestByte {
    /// The one after the last it has.
    Next,
    /// Wrong: the last it has.
    Last,
}

/// When a replica takes over the announced label (PROTOCOL §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// After the snapshot is loaded.
    AfterLoad,
    /// Wrong: at the line that announces it.
    AtLine,
}

/// When a replica throws its old data away (PROTOCOL §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// When the whole snapshot is in hand.
    AfterPayload,
    /// Wrong: at the line that announces it, the old label staying usable.
    AtLine,
}

/// What a replica does when told the new name of its history (PROTOCOL §3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContinueId {
    /// Takes it over; the old one becomes secondary.
    Adopted,
    /// Does not read it: names are of processes.
    Ignored,
}

/// What a replica knows after its link is lost (PROTOCOL §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkLoss {
    /// Name and offset, to ask for the rest.
    Cached,
    /// Wrong: nothing. FLAWS B-28.
    Forgotten,
}

/// Whether a replica that was continued acknowledges (PROTOCOL §2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcknowledgeAfterContinue {
    /// As ever.
    Yes,
    /// Wrong: never again. FLAWS B-31.
    No,
}

/// What `+CONTINUE` does to the offset of a replica (PROTOCOL §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetAtContinue {
    /// Nothing.
    Kept,
    /// Wrong: it starts at zero. FLAWS B-25.
    Reset,
}

/// Which offset a snapshot file is labelled with (PROTOCOL §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavedOffset {
    /// That of the cut.
    OfCut,
    /// Wrong: one command more. FLAWS B-10.
    OneCommandMore,
}

/// What a promoted node calls its history (PROTOCOL §3.7, §4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promotion {
    /// As before: the name is that of the process, and its replicas stay.
    KeepsRunId,
    /// By a fresh name; the one it shared with its primary becomes the secondary one.
    ShiftsId,
    /// Wrong: by the name it shared with its primary, which may extend it too. FLAWS B-12.
    KeepsId,
    /// Wrong: by a fresh name, without a secondary one. FLAWS F-13.
    ForgetsFormerId,
}

/// What becomes of the backlog of a node that is promoted (PROTOCOL §4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromotedBacklog {
    /// It stays.
    Kept,
    /// Wrong: it is given up at once, as if it had been alone for too long. FLAWS B-15.
    Freed,
}

/// What a node may ask for when it is told to follow another (PROTOCOL §4.2, §4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demotion {
    /// Everything: neither its own history nor that of its former primary is known to others.
    ForgetsLabel,
    /// What comes after its own history, or after what it has of its former primary's.
    KeepsLabel,
    /// Wrong: the same, while its own count starts at zero. FLAWS B-25.
    KeepsLabelLosesOffset,
}

/// What a role change does to the count under a run ID, which stays (PROTOCOL §4.6). Where names are of histories
/// the question does not arise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleNumbering {
    /// Nothing.
    GoesOn,
    /// Wrong, and shipped to 3.2: it starts at zero, or where the former primary stood. FLAWS F-16.
    StartsAgain,
}

/// What becomes of a node's own replicas when its data are replaced (PROTOCOL §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullLoad {
    /// They are cut off, and the backlog begins anew.
    CutsReplicas,
    /// Wrong: they stay, and so does the backlog. FLAWS B-06.
    KeepsReplicas,
}

/// What becomes of the replicas of a replica that is continued under a new name (PROTOCOL §3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renaming {
    /// They are cut off, so that they ask again and learn it.
    CutsReplicas,
    /// Wrong: they stay, and go on under the old name. FLAWS F-14.
    KeepsReplicas,
}

/// Whether a replica that is continued and has no backlog makes one (PROTOCOL §3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContinueBacklog {
    /// It does, where streams are passed on.
    Created,
    /// Wrong: it has none until a replica of its own comes. FLAWS B-14.
    Missing,
}

/// What a replica does when its primary cannot answer now (PROTOCOL §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransientError {
    /// What it does on any error: it falls back to `SYNC`.
    LikeAnyOther,
    /// It asks the same again, later.
    AsksAgain,
    /// Wrong: it asks for everything, later. FLAWS B-24.
    ForgetsLabel,
}

/// Which offset a replica acknowledges (PROTOCOL §2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// The one that its link stands for.
    Counted,
    /// Wrong: that of the last byte read, be it in the middle of a command. FLAWS F-15.
    Read,
}

/// What names the data of a snapshot that came by `SYNC`, which announces no label (PROTOCOL §4.4, §6 X7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncFallback {
    /// A fresh name that nobody was told.
    FreshId,
    /// Wrong, and shipped: the name of the last announcement, counted from -1. FLAWS B-01.
    KeepsStaleId,
}

/// One entry for each decision; see the type of each for what it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rulebook {
    /// The generation this book belongs to; read for names, fields and commands only.
    pub era: Era,
    /// See [`BacklogBirth`].
    pub backlog_birth: BacklogBirth,
    /// See [`Expiry`].
    pub expiry: Expiry,
    /// See [`Trim`].
    pub trim: Trim,
    /// See [`UpperBound`].
    pub upper_bound: UpperBound,
    /// See [`LowerBound`].
    pub lower_bound: LowerBound,
    /// See [`IdCheck`].
    pub id_check: IdCheck,
    /// See [`SecondaryLimit`].
    pub secondary_limit: SecondaryLimit,
    /// See [`SavedLabel`].
    pub saved_label: SavedLabel,
    /// See [`FullLine`].
    pub full_line: FullLine,
    /// See [`Attach`].
    pub attach: Attach,
    /// See [`Accumulation`].
    pub accumulation: Accumulation,
    /// See [`FirstStream`].
    pub first_stream: FirstStream,
    /// See [`StreamWriting`].
    pub stream_writing: StreamWriting,
    /// See [`BacklogContent`].
    pub backlog_content: BacklogContent,
    /// See [`Relay`].
    pub relay: Relay,
    /// See [`CacheAtFullLine`].
    pub cache_at_full_line: CacheAtFullLine,
    /// See [`HalfInput`].
    pub half_input: HalfInput,
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
    /// See [`RequestByte`].
    pub request_byte: RequestByte,
    /// See [`Adoption`].
    pub adoption: Adoption,
    /// See [`Discard`].
    pub discard: Discard,
    /// See [`ContinueId`].
    pub continue_id: ContinueId,
    /// See [`LinkLoss`].
    pub link_loss: LinkLoss,
    /// See [`AcknowledgeAfterContinue`].
    pub acknowledge_after_continue: AcknowledgeAfterContinue,
    /// See [`OffsetAtContinue`].
    pub offset_at_continue: OffsetAtContinue,
    /// See [`SavedOffset`].
    pub saved_offset: SavedOffset,
    /// See [`Promotion`].
    pub promotion: Promotion,
    /// See [`PromotedBacklog`].
    pub promoted_backlog: PromotedBacklog,
    /// See [`Demotion`].
    pub demotion: Demotion,
    /// See [`RoleNumbering`].
    pub role_numbering: RoleNumbering,
    /// See [`FullLoad`].
    pub full_load: FullLoad,
    /// See [`Renaming`].
    pub renaming: Renaming,
    /// See [`ContinueBacklog`].
    pub continue_backlog: ContinueBacklog,
    /// See [`TransientError`].
    pub transient_error: TransientError,
    /// See [`Acknowledgement`].
    pub acknowledgement: Acknowledgement,
    /// See [`SyncFallback`].
    pub sync_fallback: SyncFallback,
}

impl Rulebook {
    /// The rules of an era, all of them right.
    pub fn of(era: Era) -> Self {
        match era {
            Era::Psync2V7 => Self::version_7(),
            Era::Psync2 => Self {
                era,
                trim: Trim::Ring,
                saved_label: SavedLabel::Forgotten,
                cache_at_full_line: CacheAtFullLine::Discarded,
                ..Self::version_7()
            },
            Era::Psync => Self {
                era,
                backlog_birth: BacklogBirth::SkipsOneByte,
                expiry: Expiry::KeepsId,
                relay: Relay::Regenerated,
                half_input: HalfInput::Kept,
                open_transaction: OpenTransaction::Kept,
                continue_id: ContinueId::Ignored,
                promotion: Promotion::KeepsRunId,
                select_after_promotion: SelectAfterPromotion::OwnStreamGoesOn,
                demotion: Demotion::ForgetsLabel,
                transient_error: TransientError::LikeAnyOther,
                ..Self::of(Era::Psync2)
            },
            Era::Sync => Self {
                era,
                backlog_birth: BacklogBirth::Never,
                half_input: HalfInput::Dropped,
                open_transaction: OpenTransaction::Dropped,
                ..Self::of(Era::Psync)
            },
        }
    }

    fn version_7() -> Self {
        Self {
            era: Era::Psync2V7,
            backlog_birth: BacklogBirth::FreshId,
            expiry: Expiry::FreshId,
            trim: Trim::Blocks,
            upper_bound: UpperBound::Inclusive,
            lower_bound: LowerBound::Checked,
            id_check: IdCheck::Checked,
            secondary_limit: SecondaryLimit::NextByte,
            saved_label: SavedLabel::Secondary,
            full_line: FullLine::AtCut,
            attach: Attach::LabelAndPending,
            accumulation: Accumulation::FromCut,
            first_stream: FirstStream::AfterAcknowledgement,
            stream_writing: StreamWriting::Exact,
            backlog_content: BacklogContent::AsSent,
            relay: Relay::Verbatim,
            cache_at_full_line: CacheAtFullLine::Kept,
            half_input: HalfInput::Dropped,
            open_transaction: OpenTransaction::Dropped,
            transaction_end: TransactionEnd::Exec,
            snapshot_database: SnapshotDatabase::Carried,
            select_after_sync: SelectAfterSync::Again,
            select_after_promotion: SelectAfterPromotion::Again,
            request_byte: RequestByte::Next,
            adoption: Adoption::AfterLoad,
            discard: Discard::AfterPayload,
            continue_id: ContinueId::Adopted,
            link_loss: LinkLoss::Cached,
            acknowledge_after_continue: AcknowledgeAfterContinue::Yes,
            offset_at_continue: OffsetAtContinue::Kept,
            saved_offset: SavedOffset::OfCut,
            promotion: Promotion::ShiftsId,
            promoted_backlog: PromotedBacklog::Kept,
            demotion: Demotion::KeepsLabel,
            role_numbering: RoleNumbering::GoesOn,
            full_load: FullLoad::CutsReplicas,
            renaming: Renaming::CutsReplicas,
            continue_backlog: ContinueBacklog::Created,
            transient_error: TransientError::AsksAgain,
            acknowledgement: Acknowledgement::Counted,
            sync_fallback: SyncFallback::FreshId,
        }
    }
}
