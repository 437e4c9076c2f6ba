//! What a case ends in, and what a failure has to say.
use std::collections::BTreeSet;
use std::fmt;

use psync_model::casting::Casting;
use psync_model::property::Property;
use psync_model::rulebook::Era;
use psync_model::situation::Target;
use psync_model::step::Step;
use serde::{Deserialize, Serialize};

use crate::profile::ControlName;
use crate::transcript::Log;

/// What was looked at when something did not agree with the model. Each has a sentence, a source and, where
/// one of the properties forbids it, that property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// A partial resynchronization that should have been granted or refused.
    Answer,
    /// The name in `+FULLRESYNC` or `+CONTINUE`.
    AnnouncedId,
    /// The offset in `+FULLRESYNC`.
    AnnouncedOffset,
    /// The data in a snapshot.
    SnapshotData,
    /// The label in a snapshot.
    SnapshotLabel,
    /// The commands of the stream.
    Stream,
    /// When the stream begins.
    StreamGate,
    /// How far the offset moves.
    Offset,
    /// The name of the history.
    ReplicationId,
    /// The former name, and its limit.
    SecondaryId,
    /// Whether there is a backlog.
    Backlog,
    /// What the primary thinks of its replicas.
    ReplicaState,
    /// Whether a snapshot is being made.
    Snapshot,
    /// What a replica asks for.
    Request,
    /// What a replica acknowledges.
    Acknowledgement,
    /// Whether a replica's link is up.
    LinkState,
    /// The data of the subject.
    Data,
    /// Something that should have happened and did not.
    Progress,
    /// Bytes that are no protocol at all.
    Protocol,
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Answer,
        Self::AnnouncedId,
        Self::AnnouncedOffset,
        Self::SnapshotData,
        Self::SnapshotLabel,
        Self::Stream,
        Self::StreamGate,
        Self::Offset,
        Self::ReplicationId,
        Self::SecondaryId,
        Self::Backlog,
        Self::ReplicaState,
        Self::Snapshot,
        Self::Request,
        Self::Acknowledgement,
        Self::LinkState,
        Self::Data,
        Self::Progress,
        Self::Protocol,
    ];

    /// The last part of its address.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::AnnouncedId => "announced-id",
            Self::AnnouncedOffset => "announced-offset",
            Self::SnapshotData => "snapshot-data",
            Self::SnapshotLabel => "snapshot-label",
            Self::Stream => "stream",
            Self::StreamGate => "stream-gate",
            Self::Offset => "offset",
            Self::ReplicationId => "replication-id",
            Self::SecondaryId => "secondary-id",
            Self::Backlog => "backlog",
            Self::ReplicaState => "replica-state",
            Self::Snapshot => "snapshot",
            Self::Request => "request",
            Self::Acknowledgement => "acknowledgement",
            Self::LinkState => "link-state",
            Self::Data => "data",
            Self::Progress => "progress",
            Self::Protocol => "protocol",
        }
    }

    /// The sentence of the requirement.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Answer => {
                "a primary continues exactly those who ask for a byte it holds, under a name it has"
            }
            Self::AnnouncedId => {
                "the name in +FULLRESYNC and +CONTINUE is the primary's current one"
            }
            Self::AnnouncedOffset => {
                "the offset in +FULLRESYNC is that of the snapshot that follows"
            }
            Self::SnapshotData => {
                "a snapshot holds exactly the data at the offset announced with it"
            }
            Self::SnapshotLabel => "the label in a snapshot is that of its data",
            Self::Stream => {
                "after a snapshot or +CONTINUE come exactly the commands that follow, complete and in order"
            }
            Self::StreamGate => {
                "after a snapshot that was sent directly, the stream waits for the first acknowledgement"
            }
            Self::Offset => "the offset moves by exactly the bytes of the stream",
            Self::ReplicationId => {
                "a history keeps its name, and one whose data moved uncounted gets another"
            }
            Self::SecondaryId => {
                "the secondary ID is the former name, up to the first byte that is no longer common"
            }
            Self::Backlog => "the backlog is there from the first replica on until it expires",
            Self::ReplicaState => "a primary knows which replicas it has, and what each is due",
            Self::Snapshot => "a snapshot is made when a replica waits for one, and not otherwise",
            Self::Request => {
                "a replica asks for the byte after the last it has, under the name it was given"
            }
            Self::Acknowledgement => {
                "a replica acknowledges what it has applied, no more and no less"
            }
            Self::LinkState => {
                "a replica's link is up when it has its primary's data and applies the stream"
            }
            Self::Data => {
                "a replica has the data that its label says, and keeps the old ones until the new are there"
            }
            Self::Progress => "what is due happens",
            Self::Protocol => "what is sent follows the protocol",
        }
    }

    /// Where the requirement is written.
    pub const fn source(self) -> &'static str {
        match self {
            Self::Answer => "PROTOCOL §3.1",
            Self::AnnouncedId => "PROTOCOL §2.3",
            Self::AnnouncedOffset => "PROTOCOL §3.3",
            Self::SnapshotData => "PROTOCOL §3.3",
            Self::SnapshotLabel => "PROTOCOL §2.4",
            Self::Stream => "PROTOCOL §2.5",
            Self::StreamGate => "PROTOCOL §3.4",
            Self::Offset => "PROTOCOL §2.5",
            Self::ReplicationId => "PROTOCOL §3.7",
            Self::SecondaryId => "PROTOCOL §3.7-4",
            Self::Backlog => "PROTOCOL §3.6",
            Self::ReplicaState => "PROTOCOL §3.5",
            Self::Snapshot => "PROTOCOL §3.3",
            Self::Request => "PROTOCOL §4.2",
            Self::Acknowledgement => "PROTOCOL §2.6",
            Self::LinkState => "PROTOCOL §4.1",
            Self::Data => "PROTOCOL §4.4",
            Self::Progress => "PROTOCOL §4.1",
            Self::Protocol => "PROTOCOL §2",
        }
    }

    /// Whether cases of an era look at it with the subject in this place: what is not looked at has not passed.
    pub const fn is_looked_at(self, era: Era, casting: Casting) -> bool {
        let in_place = match self {
            // Nothing is sent directly where every node is a subject.
            Self::StreamGate => matches!(casting, Casting::Primary),
            _ if matches!(casting, Casting::Whole) => true,
            Self::Request | Self::LinkState | Self::Data => matches!(casting, Casting::Replica),
            Self::Offset
            | Self::ReplicationId
            | Self::Acknowledgement
            | Self::Progress
            | Self::Protocol => true,
            _ => matches!(casting, Casting::Primary),
        };
        let since = match self {
            Self::SnapshotData
            | Self::Stream
            | Self::ReplicaState
            | Self::Snapshot
            | Self::Request
            | Self::LinkState
            | Self::Data
            | Self::Progress
            | Self::Protocol => Era::Sync,
            Self::SnapshotLabel | Self::SecondaryId | Self::StreamGate => Era::Psync2,
            _ => Era::Psync,
        };
        in_place && since as u8 <= era as u8
    }

    /// The property of the model that forbids it, where one does.
    pub const fn property(self) -> Option<Property> {
        match self {
            Self::Answer => Some(Property::S16),
            Self::AnnouncedOffset | Self::SnapshotData => Some(Property::S4),
            Self::SnapshotLabel | Self::Data => Some(Property::S1),
            Self::Stream => Some(Property::S3),
            Self::StreamGate => Some(Property::S10),
            Self::Offset => Some(Property::S5),
            Self::ReplicationId => Some(Property::S7),
            Self::SecondaryId => Some(Property::S6),
            Self::Request => Some(Property::L2),
            Self::Progress => Some(Property::L1),
            _ => None,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One observation that one possible world does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// What was looked at.
    pub check: Check,
    /// What the world allows.
    pub allowed: String,
    /// What came.
    pub came: String,
    /// How many of the things looked at before did agree: of several possible worlds, the one that agrees the
    /// furthest says best what is wrong.
    #[serde(skip)]
    pub agreed: u8,
}

impl Mismatch {
    /// A mismatch in the first thing looked at.
    pub fn new(check: Check, allowed: impl Into<String>, came: impl Into<String>) -> Self {
        Self {
            check,
            allowed: allowed.into(),
            came: came.into(),
            agreed: 0,
        }
    }

    /// The same mismatch, found after so many things that agreed.
    #[must_use]
    pub fn after(self, agreed: u8) -> Self {
        Self { agreed, ..self }
    }

    /// `Ok` if both are the same, else a mismatch that shows them.
    pub fn unless_equal<T: PartialEq + fmt::Debug>(
        check: Check,
        allowed: &T,
        came: &T,
    ) -> Result<(), Self> {
        if allowed == came {
            Ok(())
        } else {
            Err(Self::new(
                check,
                format!("{allowed:?}"),
                format!("{came:?}"),
            ))
        }
    }
}

/// A subject that did what the model does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step of the plan at which it showed, from 0.
    pub at: usize,
    /// That step.
    pub step: Step,
    /// The first thing that did not agree.
    pub mismatch: Mismatch,
    /// What else was possible, and why it is excluded: one for each other possible world.
    pub others: Vec<Mismatch>,
    /// The last bytes both ways, connection by connection.
    pub transcripts: Vec<Log>,
    /// The last lines the subject printed.
    pub output: String,
}

/// What a case ends in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything seen was allowed, to the end of the plan.
    Pass,
    /// Something seen was not allowed.
    Fail(Box<Failure>),
    /// Everything seen was allowed, but the subject went another way than the plan.
    Inconclusive {
        /// The step of the plan that no longer applied, from 0.
        at: usize,
        /// Why.
        reason: String,
    },
    /// The case needs something the subject does not offer.
    Skipped {
        /// What is missing.
        missing: ControlName,
    },
    /// The harness itself failed: nothing is known about the subject.
    NotJudged {
        /// How it failed.
        reason: String,
    },
}

impl Verdict {
    /// What it comes to, without what differs from one time to the next.
    pub fn summary(&self) -> String {
        match self {
            Self::Pass => "passed".to_owned(),
            Self::Fail(failure) => {
                format!("failed at {}: {}", failure.step, failure.mismatch.check)
            }
            Self::Inconclusive { at, .. } => format!("inconclusive at step {}", at + 1),
            Self::Skipped { missing } => format!("skipped for want of {missing}"),
            Self::NotJudged { reason } => format!("not judged: {reason}"),
        }
    }
}

/// The verdict on a case, with what it covered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The case.
    pub case: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The targets met for certain.
    pub met: BTreeSet<Target>,
    /// Those of the plan that this subject cannot come to, because it looks at a snapshot before it drops its data for it.
    pub spared: BTreeSet<Target>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}
