//! The byte sweep: one short conversation between a primary and a replica (handshake, snapshot, three commands) is held
//! again and again, and each time the network fails at another byte. Nothing may depend on where it does: the replica
//! must end up with its primary's data, and until it has new data it must keep the old.
//!
//! The subject is one of the two servers, our own server is the other. Between them stand the watcher, which judges every
//! byte by the model's decisions ([`crate::watch`]), and a network that fails once:
//!
//! ```text
//! replica ── watcher ── gate ── primary
//! ```
//!
//! The three commands cannot be executed twice, left out or exchanged without leaving other data: data say what offsets
//! might not.
use psync_model::casting::Casting;
use psync_model::property::Property;
use psync_model::world::Framing;

use crate::profile::Profile;
use crate::proxy::End;
use crate::watch::{Finding, Rule};

mod conversation;
mod gate;

pub use conversation::{Lengths, measure, try_at};

/// Who takes part.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The server that is judged; the harness must start it.
    pub subject: Profile,
    /// Our own server, in the same era.
    pub peer: Profile,
    /// The part of the subject.
    pub casting: Casting,
    /// How the snapshot is sent.
    pub framing: Framing,
}

/// How the network fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Damage {
    /// The connection ends, and what else is on its way is lost.
    Cut,
    /// The connection stands still until both ends have read what had passed; nothing is lost.
    Stall,
}

/// Where the network fails: after so many bytes from one end of the first connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// How.
    pub damage: Damage,
    /// Whose bytes are counted: the replica connects, the primary is the server.
    pub from: End,
    /// How many of them pass.
    pub byte: u64,
}

/// What a sweep asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Required {
    /// Old data stay until there are new ones.
    OldDataStay,
    /// The replica ends up with its primary's data.
    DataArrive,
    /// A replica that could be continued is continued.
    Continuation,
    /// What the watcher looks at.
    Watched(Rule),
}

impl Required {
    /// Its name in reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OldDataStay => "old-data-stay",
            Self::DataArrive => "data-arrive",
            Self::Continuation => "continuation",
            Self::Watched(rule) => rule.name(),
        }
    }

    /// The sentence of the requirement.
    pub const fn sentence(&self) -> &'static str {
        match self {
            Self::OldDataStay => Property::S14.sentence(),
            Self::DataArrive => Property::L1.sentence(),
            Self::Continuation => Property::L2.sentence(),
            Self::Watched(rule) => rule.sentence(),
        }
    }

    /// Where it is written.
    pub const fn source(&self) -> &'static str {
        match self {
            Self::OldDataStay => "PROTOCOL §4.4",
            Self::DataArrive => "PROTOCOL §4.1",
            Self::Continuation => "PROTOCOL §3.1",
            Self::Watched(rule) => rule.source(),
        }
    }
}

/// Something that the network's failure brought about and that must not be.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// What is required.
    pub required: Required,
    /// What would have been right, and what came.
    pub story: String,
    /// What passed, as `psync-conformance watch --replay` takes it.
    pub log: Vec<u8>,
}

impl Wrong {
    /// What the watcher found.
    fn found(finding: &Finding) -> Self {
        Self {
            required: Required::Watched(finding.rule),
            story: finding.to_string(),
            log: Vec::new(),
        }
    }

    fn new(required: Required, expected: &str, came: &str) -> Self {
        Self {
            required,
            story: format!("  expected  {expected}\n  came      {came}"),
            log: Vec::new(),
        }
    }
}
