//! Wrong rulebooks, each with exactly one entry wrong: what properties are tested with.
//!
//! Every property has at least one fault that breaks it, and every fault a property that catches it. The
//! reference server can be started with the same faults, by the same names, so that the judge can be judged.

use crate::property::Property;
use crate::rulebook::{
    Accumulation, Acknowledgement, AttachLabel, AttachQueue, BacklogBirth, BacklogCopy,
    BacklogExpiry, ContinueAcknowledgement, ContinueBacklog, ContinueId, ContinueOffset, Demotion,
    Discard, Era, FullLabel, FullLoad, FullReply, IdCheck, LinkLoss, LowerBound, NextRequest,
    PartialCommand, PromotedBacklog, Promotion, RestartedPrimary, Rulebook, SavedLabel,
    SecondaryCheck, SecondaryLimit, Sending, StreamGate, StreamPurity, SyncFallback,
    TransientError, UpperBound,
};
use crate::world::NodeId;

/// One entry wrong.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The name used on every command line and in every trace.
    pub name: &'static str,
    /// Where the flaw is described, in `FLAWS.md`.
    pub source: &'static str,
    /// What is wrong, in one sentence.
    pub sentence: &'static str,
    /// Which server has it.
    pub side: NodeId,
    /// The oldest era in which it is a fault that shows.
    pub since: Era,
    /// The last era in which it is a fault that shows.
    pub until: Era,
    /// The property that catches it first.
    pub property: Property,
    change: fn(&mut Rulebook),
}

impl Fault {
    /// The rulebook of `era` with this fault; `None` where the era does not have the rule, or has it this way.
    pub fn in_era(&self, era: Era) -> Option<Rulebook> {
        if era < self.since || era > self.until {
            return None;
        }
        let mut book = era.rulebook();
        (self.change)(&mut book);
        Some(book)
    }

    /// Whether the cases of scope `replay` bring it to light, on a pair whose roles do not change: what the judge
    /// is held to. The others need a replica of a replica, a promotion, an error reply, or a reader of what a
    /// replica acknowledges in the middle of a command.
    pub fn is_replayed(&self) -> bool {
        !BEYOND_REPLAY.contains(&self.name)
    }

    /// The newest era in which it shows: where it is shown unless told otherwise.
    pub const fn home(&self) -> Era {
        self.until
    }
}

const BEYOND_REPLAY: &[&str] = &[
    "same-id-after-promotion",
    "former-id-forgotten-at-promotion",
    "promotion-frees-backlog",
    "demotion-loses-offset",
    "full-load-keeps-replicas",
    "no-backlog-after-continue",
    "label-lost-on-passing-error",
    "acknowledges-unapplied",
    "sync-fallback-keeps-id",
];

/// The fault of this name, if there is one.
pub fn named(name: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.name == name)
}

/// All faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "backlog-upper-bound-exclusive",
        source: "FLAWS B-16",
        sentence: "a replica that has everything is refused",
        side: NodeId::Primary,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::L2,
        change: |book| book.upper_bound = UpperBound::Last,
    },
    Fault {
        name: "backlog-upper-bound-one-beyond",
        source: "FLAWS F-01",
        sentence: "a byte that was never produced may be asked for",
        side: NodeId::Primary,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S16,
        change: |book| book.upper_bound = UpperBound::OneBeyond,
    },
    Fault {
        name: "backlog-upper-bound-by-size",
        source: "FLAWS B-17",
        sentence: "the upper bound is the configured size of the backlog, not what it holds",
        side: NodeId::Primary,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S16,
        change: |book| book.upper_bound = UpperBound::ByCapacity,
    },
    Fault {
        name: "backlog-lower-bound-ignored",
        source: "FLAWS F-02",
        sentence: "a byte that is no longer held may be asked for, and what is missing is skipped",
        side: NodeId::Primary,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S16,
        change: |book| book.lower_bound = LowerBound::Ignored,
    },
    Fault {
        name: "replication-id-not-checked",
        source: "FLAWS B-12",
        sentence: "only the offset of a request is looked at, not the ID",
        side: NodeId::Primary,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S16,
        change: |book| book.id_check = IdCheck::Ignored,
    },
    Fault {
        name: "secondary-limit-one-short",
        source: "FLAWS F-03",
        sentence: "the limit of the secondary ID is the offset, not the byte after it",
        side: NodeId::Primary,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::L2,
        change: |book| book.secondary_limit = SecondaryLimit::Offset,
    },
    Fault {
        name: "secondary-limit-ignored",
        source: "FLAWS F-04",
        sentence: "the secondary ID is accepted at any offset",
        side: NodeId::Primary,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S16,
        change: |book| book.secondary_check = SecondaryCheck::Ignored,
    },
    Fault {
        name: "label-at-request",
        source: "FLAWS B-02",
        sentence: "the announced offset is that of the request, not that of the snapshot",
        side: NodeId::Primary,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S4,
        change: |book| book.full_label = FullLabel::AtRequest,
    },
    Fault {
        name: "full-resync-offset-one-more",
        source: "FLAWS F-05",
        sentence: "the announced offset is one more than that of the snapshot",
        side: NodeId::Primary,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S4,
        change: |book| book.full_label = FullLabel::OneMore,
    },
    Fault {
        name: "attach-label-current",
        source: "FLAWS B-02",
        sentence: "a replica that joins a running snapshot is told the offset of this moment",
        side: NodeId::Primary,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S4,
        change: |book| book.attach_label = AttachLabel::Current,
    },
    Fault {
        name: "attach-loses-pending",
        source: "FLAWS B-20",
        sentence: "a replica that joins a running snapshot gets nothing of what came since the cut",
        side: NodeId::Primary,
        since: Era::Sync,
        until: Era::Psync2V7,
        property: Property::S4,
        change: |book| book.attach_queue = AttachQueue::Lost,
    },
    Fault {
        name: "accumulation-starts-late",
        source: "FLAWS F-07",
        sentence: "commands are queued from the end of the snapshot, not from its cut",
        side: NodeId::Primary,
        since: Era::Sync,
        until: Era::Psync2V7,
        property: Property::S4,
        change: |book| book.accumulation = Accumulation::FromEnd,
    },
    Fault {
        name: "expired-backlog-keeps-id",
        source: "FLAWS B-03",
        sentence: "writes without a backlog are made under a name that others know",
        side: NodeId::Primary,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S7,
        change: |book| book.backlog_expiry = BacklogExpiry::KeepsId,
    },
    Fault {
        name: "backlog-birth-skips-no-byte",
        source: "FLAWS F-06",
        sentence: "a new backlog goes on with the numbering, so that earlier labels stay usable",
        side: NodeId::Primary,
        since: Era::Psync,
        until: Era::Psync,
        property: Property::S1,
        change: |book| book.backlog_birth = BacklogBirth::Plain,
    },
    Fault {
        name: "primary-adopts-saved-id",
        source: "FLAWS B-04",
        sentence: "a primary that starts from a snapshot goes on under the ID it finds there",
        side: NodeId::Primary,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S7,
        change: |book| book.restarted_primary = RestartedPrimary::AdoptsId,
    },
    Fault {
        name: "backlog-differs-from-stream",
        source: "FLAWS B-18",
        sentence: "the backlog gets other bytes than the replicas",
        side: NodeId::Primary,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S5,
        change: |book| book.backlog_copy = BacklogCopy::Different,
    },
    Fault {
        name: "stream-before-first-acknowledgement",
        source: "FLAWS B-21",
        sentence: "the stream is glued to the end of a snapshot that was sent directly",
        side: NodeId::Primary,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S10,
        change: |book| book.stream_gate = StreamGate::PayloadEnd,
    },
    Fault {
        name: "last-command-withheld",
        source: "FLAWS B-39",
        sentence: "a command goes out only when the next one comes",
        side: NodeId::Primary,
        since: Era::Sync,
        until: Era::Psync2V7,
        property: Property::L1,
        change: |book| book.sending = Sending::OneBehind,
    },
    Fault {
        name: "uncounted-byte-in-stream",
        source: "FLAWS B-11",
        sentence: "a byte is written on an established link that only the replica counts",
        side: NodeId::Primary,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S10,
        change: |book| book.stream_purity = StreamPurity::StrayByte,
    },
    Fault {
        name: "request-not-plus-one",
        source: "FLAWS F-08",
        sentence: "a replica asks for the last byte it has, not for the next",
        side: NodeId::Replica,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S3,
        change: |book| book.next_request = NextRequest::Offset,
    },
    Fault {
        name: "half-command-counted",
        source: "FLAWS F-09",
        sentence: "a command read in part is dropped with the link, but its bytes count as applied",
        side: NodeId::Replica,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S1,
        change: |book| book.partial_command = PartialCommand::DroppedYetCounted,
    },
    Fault {
        name: "label-adopted-before-load",
        source: "FLAWS F-10",
        sentence: "the label of a snapshot is adopted before its data",
        side: NodeId::Replica,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S1,
        change: |book| book.full_reply = FullReply::AdoptsLabel,
    },
    Fault {
        name: "data-discarded-before-snapshot",
        source: "FLAWS F-11",
        sentence: "the old data go at +FULLRESYNC, before any of the new are there",
        side: NodeId::Replica,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S14,
        change: |book| book.discard = Discard::AtReply,
    },
    Fault {
        name: "restart-label-too-new",
        source: "FLAWS B-10",
        sentence: "the label in a saved snapshot is newer than its data",
        side: NodeId::Primary,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S1,
        change: |book| book.saved_label = SavedLabel::TooNew,
    },
    Fault {
        name: "continue-id-not-adopted",
        source: "FLAWS F-12",
        sentence: "a replica that is continued under a new ID keeps calling its history by the old one",
        side: NodeId::Replica,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S13,
        change: |book| book.continue_id = ContinueId::Ignored,
    },
    Fault {
        name: "offset-reset-on-continue",
        source: "FLAWS B-25",
        sentence: "the offset goes back when a replica is continued",
        side: NodeId::Replica,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S15,
        change: |book| book.continue_offset = ContinueOffset::GoesBack,
    },
    Fault {
        name: "cached-primary-lost",
        source: "FLAWS B-28",
        sentence: "a replica forgets its place with the link",
        side: NodeId::Replica,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::L2,
        change: |book| book.link_loss = LinkLoss::LosesLabel,
    },
    Fault {
        name: "no-acknowledgement-after-continue",
        source: "FLAWS B-31",
        sentence: "a replica that was continued never acknowledges again",
        side: NodeId::Replica,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::L1,
        change: |book| book.continue_acknowledgement = ContinueAcknowledgement::Never,
    },
    Fault {
        name: "same-id-after-promotion",
        source: "FLAWS B-12",
        sentence: "a promoted replica goes on under the ID of its former primary, which others may still extend",
        side: NodeId::Replica,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S8,
        change: |book| book.promotion = Promotion::KeepsId,
    },
    Fault {
        name: "former-id-forgotten-at-promotion",
        source: "FLAWS F-13",
        sentence: "a promoted replica takes a fresh ID and does not remember the old one",
        side: NodeId::Replica,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::L2,
        change: |book| book.promotion = Promotion::ForgetsFormerId,
    },
    Fault {
        name: "promotion-frees-backlog",
        source: "FLAWS B-15",
        sentence: "a promoted replica frees its backlog at once",
        side: NodeId::Replica,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::L2,
        change: |book| book.promoted_backlog = PromotedBacklog::Freed,
    },
    Fault {
        name: "demotion-loses-offset",
        source: "FLAWS B-25",
        sentence: "the numbering of a node goes back when it is told to follow another",
        side: NodeId::Replica,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S15,
        change: |book| book.demotion = Demotion::KeepsLabelLosesOffset,
    },
    Fault {
        name: "full-load-keeps-replicas",
        source: "FLAWS B-06",
        sentence: "a replica whose data are replaced keeps its own replicas and its old backlog",
        side: NodeId::Replica,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S5,
        change: |book| book.full_load = FullLoad::KeepsReplicas,
    },
    Fault {
        name: "no-backlog-after-continue",
        source: "FLAWS B-14",
        sentence: "a replica that restarted and was continued has no backlog",
        side: NodeId::Replica,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S13,
        change: |book| book.continue_backlog = ContinueBacklog::Missing,
    },
    Fault {
        name: "label-lost-on-passing-error",
        source: "FLAWS B-24",
        sentence: "a replica forgets its place on an error that is known to pass",
        side: NodeId::Replica,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::L2,
        change: |book| book.transient_error = TransientError::ForgetsLabel,
    },
    Fault {
        name: "acknowledges-unapplied",
        source: "FLAWS F-15",
        sentence: "a replica acknowledges a command of which it has only begun to read",
        side: NodeId::Replica,
        since: Era::Psync2,
        until: Era::Psync2V7,
        property: Property::S12,
        change: |book| book.acknowledgement = Acknowledgement::Read,
    },
    Fault {
        name: "sync-fallback-keeps-id",
        source: "FLAWS B-01",
        sentence: "a full copy fetched with SYNC is called by the ID of the last +FULLRESYNC line, and counted from -1",
        side: NodeId::Replica,
        since: Era::Psync,
        until: Era::Psync2V7,
        property: Property::S1,
        change: |book| book.sync_fallback = SyncFallback::KeepsStaleId,
    },
];
