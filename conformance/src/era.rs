//! The names of the eras, as profiles, traces and the reference server spell them, and what a replica of each era
//! says in its handshake. What an era *means* is the model's affair.
use serde::{Deserialize, Serialize};

/// An era of the protocol, from the oldest to the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Era {
    /// Redis 2.6: SYNC only.
    Sync,
    /// Redis 2.8 to 3.2: run ID, offset, backlog.
    Psync,
    /// Redis 4.0 to 6.2: replication ID and secondary ID.
    Psync2,
    /// Redis 7.0 on, and Valkey.
    Psync2V7,
}

impl Era {
    /// The name as it is written in profiles and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Psync => "psync",
            Self::Psync2 => "psync2",
            Self::Psync2V7 => "psync2-v7",
        }
    }

    /// The capabilities a replica of this era announces (`PROTOCOL §2.1`); those of 3.2 for its era.
    pub fn capabilities(self) -> &'static [&'static str] {
        match self {
            Self::Sync => &[],
            Self::Psync => &["eof"],
            Self::Psync2 | Self::Psync2V7 => &["eof", "psync2"],
        }
    }
}

/// The same era as the specification knows it.
pub fn model_era(era: Era) -> psync_model::rulebook::Era {
    match era {
        Era::Sync => psync_model::rulebook::Era::Sync,
        Era::Psync => psync_model::rulebook::Era::Psync,
        Era::Psync2 => psync_model::rulebook::Era::Psync2,
        Era::Psync2V7 => psync_model::rulebook::Era::Psync2V7,
    }
}
