//! RDB, the file format of snapshots, as bytes: a writer that hands out portions, and a reader.
//!
//! The writer uses the plain forms of all types and claims the lowest version that its content allows, so that the oldest
//! servers can load it: 6 for data alone, 7 as soon as there are auxiliary fields (the label of PROTOCOL §2.4). The reader knows versions 1 to 13 and
//! Valkey's 80, and refuses by name what we cannot hold: half a data set is worse than none. A length in the input never
//! causes an allocation larger than the input itself, except for a compressed string, whose bound is stated there.

mod dump;
mod error;
mod format;
mod input;
mod length;
mod lzf;
mod packed;
mod reader;
mod values;
mod writer;

pub use dump::{RestoreError, dump, restore};
pub use error::RdbError;
pub use reader::{Loaded, read, read_pieces};
pub use writer::{RdbWriter, write_all};

/// The label of a snapshot: where in which history it was cut (PROTOCOL §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicationFields {
    /// The database that the stream after the snapshot starts in (`repl-stream-db`).
    pub stream_db: i32,
    /// The replication ID (`repl-id`), forty bytes.
    pub id: [u8; 40],
    /// The replication offset (`repl-offset`): a count of bytes.
    pub offset: i64,
}

#[cfg(test)]
#[path = "rdb/tests.rs"]
mod tests;
