//! Wrong rulebooks, each with exactly one entry wrong: what properties are tested with.
//!
//! Every property has at least one fault that breaks it, and every fault a property that catches it. The
//! reference server can be started with the same faults, by the same names, so that the judge can be judged.

use crate::property::Property;
use crate::rulebook::{
    Accumulation, AttachLabel, AttachQueue, BacklogBirth, BacklogCopy, BacklogExpiry,
    ContinueAcknowledgement, ContinueId, ContinueOffset, Discard, Era, FullLabel, FullReply,
    IdCheck, LinkLoss, LowerBound, NextRequest, PartialCommand, RestartedPrimary, Rulebook,
    SavedLabel, SecondaryCheck, SecondaryLimit, Sending, StreamGate, StreamPurity, UpperBound,
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

    /// The newest era in which it shows: where it is shown unless told otherwise.
    pub const fn home(&self) -> Era {
        self.until
    }
}

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
        since: Era::Psync2V7,
        until: Era::Psync2V7,
        property: Property::L2,
        change: |book| book.secondary_limit = SecondaryLimit::Offset,
    },
    Fault {
        name: "secondary-limit-ignored",
        source: "FLAWS F-04",
        sentence: "the secondary ID is accepted at any offset",
        side: NodeId::Primary,
        since: Era::Psync2V7,
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
        since: Era::Psync2V7,
        until: Era::Psync2V7,
        property: Property::S1,
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
];
