//! What the watcher can say against a server: the rules it looks at, and one finding with its place in the bytes.
//! Positions on a connection count its bytes from one, each direction by itself; offsets count bytes of a stream.
use std::fmt;

use psync_model::offset::ReplOffset;
use psync_model::property::Property;
use serde::{Deserialize, Serialize};

use crate::wire::Excerpt;

/// How many bytes on each side of a place are shown.
pub(super) const SHOWN_BYTES: usize = 24;

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The form of an answer to PSYNC or SYNC.
    Reply,
    /// The name in `+CONTINUE`.
    ContinueName,
    /// A partial resynchronization that must not be granted.
    Answer,
    /// What comes between the answer and the snapshot.
    Framing,
    /// The label inside a snapshot.
    SnapshotLabel,
    /// When the stream begins.
    StreamGate,
    /// What an established link carries.
    PureStream,
    /// The bytes of the stream.
    SameBytes,
    /// What a replica says on an established link.
    Speech,
    /// An acknowledgement of what was never sent.
    Unsent,
    /// An acknowledgement that goes back.
    Falling,
    /// An acknowledgement in the middle of something.
    AcknowledgedBoundary,
    /// A request in the middle of something.
    RequestedBoundary,
    /// A request with a name that the copy never had.
    Unlabelled,
    /// A request for more than the replica was sent.
    AskedBeyond,
    /// A request for what the replica had acknowledged.
    AskedBehind,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Reply,
        Self::ContinueName,
        Self::Answer,
        Self::Framing,
        Self::SnapshotLabel,
        Self::StreamGate,
        Self::PureStream,
        Self::SameBytes,
        Self::Speech,
        Self::Unsent,
        Self::Falling,
        Self::AcknowledgedBoundary,
        Self::RequestedBoundary,
        Self::Unlabelled,
        Self::AskedBeyond,
        Self::AskedBehind,
    ];

    /// Its name on command lines and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::ContinueName => "continue-name",
            Self::Answer => "answer",
            Self::Framing => "framing",
            Self::SnapshotLabel => "snapshot-label",
            Self::StreamGate => "stream-gate",
            Self::PureStream => "pure-stream",
            Self::SameBytes => "same-bytes",
            Self::Speech => "speech",
            Self::Unsent => "unsent",
            Self::Falling => "falling",
            Self::AcknowledgedBoundary => "acknowledged-boundary",
            Self::RequestedBoundary => "requested-boundary",
            Self::Unlabelled => "unlabelled",
            Self::AskedBeyond => "asked-beyond",
            Self::AskedBehind => "asked-behind",
        }
    }

    /// The sentence of the requirement.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Reply => {
                "a request is answered by +FULLRESYNC with an ID of 40 characters and an offset, by +CONTINUE, or by an error"
            }
            Self::ContinueName => {
                "+CONTINUE carries a name of 40 characters, and only for a replica that announced psync2"
            }
            Self::Answer => {
                "a primary continues only those who ask for a byte it can hold, under a name it has"
            }
            Self::Framing => {
                "before a snapshot there are only line feeds, and it begins with $<length> or $EOF:<40 characters>"
            }
            Self::SnapshotLabel => {
                "the label in a snapshot is the one that was announced with +FULLRESYNC"
            }
            Self::StreamGate => {
                "after a snapshot that was sent directly, nothing comes before the first acknowledgement"
            }
            Self::PureStream => "an established link carries commands in arrays and nothing else",
            Self::SameBytes => "one ID and one offset name one byte, whoever is sent it and when",
            Self::Speech => {
                "on an established link a replica says nothing but acknowledgements and line feeds"
            }
            Self::Unsent => "a replica acknowledges no byte that it was not sent",
            Self::Falling => "under one ID the applied offset of a replica never goes back",
            Self::AcknowledgedBoundary => {
                "the applied offset lies between commands, outside of transactions"
            }
            Self::RequestedBoundary => {
                "what a replica asks for begins a command, outside of transactions"
            }
            Self::Unlabelled => "a copy that was fetched with SYNC has no name to ask with",
            Self::AskedBeyond => "a replica asks for the byte after the last that it was sent",
            Self::AskedBehind => "a replica does not ask again for what it has acknowledged",
        }
    }

    /// Where the requirement is written.
    pub const fn source(self) -> &'static str {
        match self {
            Self::Reply | Self::ContinueName => "PROTOCOL §2.3",
            Self::Answer => "PROTOCOL §3.1",
            Self::Framing | Self::SnapshotLabel => "PROTOCOL §2.4",
            Self::StreamGate => "PROTOCOL §3.4",
            Self::PureStream => "PROTOCOL §2.5",
            Self::SameBytes => "PROTOCOL §6 S3",
            Self::Speech | Self::Unsent => "PROTOCOL §2.6",
            Self::Falling => "PROTOCOL §6 S15",
            Self::AcknowledgedBoundary => "PROTOCOL §6 S9",
            Self::RequestedBoundary => "PROTOCOL §4.5",
            Self::Unlabelled => "PROTOCOL §6 X7",
            Self::AskedBeyond | Self::AskedBehind => "PROTOCOL §4.2",
        }
    }

    /// The property of the model that forbids it, where one does.
    pub const fn property(self) -> Option<Property> {
        match self {
            Self::Answer => Some(Property::S16),
            Self::SnapshotLabel => Some(Property::S4),
            Self::StreamGate | Self::PureStream => Some(Property::S10),
            Self::SameBytes => Some(Property::S3),
            Self::Unsent => Some(Property::S12),
            Self::Falling => Some(Property::S15),
            Self::AcknowledgedBoundary | Self::RequestedBoundary => Some(Property::S9),
            Self::Unlabelled => Some(Property::S1),
            _ => None,
        }
    }

    /// What else it could be, for a finding that is no proof: something that cannot be seen from here.
    pub const fn unless(self) -> Option<&'static str> {
        match self {
            Self::AskedBeyond => Some("another server with the same history fed it in between"),
            Self::AskedBehind => Some("it was restarted from an older snapshot file"),
            _ => None,
        }
    }

    /// Whether breaking it is a violation, and not only a doubt.
    pub const fn is_proof(self) -> bool {
        self.unless().is_none()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who sent the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// The replica, or whoever connected.
    Replica,
    /// The primary.
    Primary,
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replica => "the replica",
            Self::Primary => "the primary",
        })
    }
}

/// Where on a connection something was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The link, counted from one.
    pub link: u64,
    /// The replica: its address, and the port it announced.
    pub replica: String,
    /// Who sent the bytes.
    pub from: From,
    /// The number of the byte on the connection, from one, in this direction.
    pub byte: u64,
    /// The offset of the byte in the stream, where it has one.
    pub offset: Option<i64>,
}

/// One step that the protocol does not allow, or that it allows only for a reason that cannot be seen from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Milliseconds since the watch began.
    pub at_ms: u64,
    /// The rule.
    pub rule: Rule,
    /// Where.
    pub place: Place,
    /// What the rule allows here.
    pub expected: String,
    /// What came.
    pub seen: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rule, place) = (self.rule, &self.place);
        let weight = if rule.is_proof() {
            "VIOLATION"
        } else {
            "DOUBT"
        };
        write!(
            f,
            "{weight} {rule}  {:.3} s, link {} ({}), {}, byte {} of the connection",
            self.at_ms as f64 / 1000.0,
            place.link,
            place.replica,
            place.from,
            place.byte
        )?;
        if let Some(offset) = place.offset {
            write!(f, ", offset {offset}")?;
        }
        write!(f, "\n  rule      {} ({}", rule.sentence(), rule.source())?;
        if let Some(property) = rule.property() {
            write!(f, ", property {property:?}")?;
        }
        write!(
            f,
            ")\n  expected  {}\n  seen      {}",
            self.expected, self.seen
        )?;
        match rule.unless() {
            Some(reason) => write!(f, "\n  unless    {reason}"),
            None => Ok(()),
        }
    }
}

/// What a link found wrong, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) rule: Rule,
    pub(super) from: From,
    /// How many bytes of the connection came before it, in its direction.
    pub(super) before: u64,
    pub(super) offset: Option<ReplOffset>,
    pub(super) expected: String,
    pub(super) seen: String,
}

/// The first bytes of something, printable.
pub(super) fn shown(bytes: &[u8]) -> Excerpt {
    Excerpt::of(bytes)
}
