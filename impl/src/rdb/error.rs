//! Why a snapshot was refused. Positions count bytes from the start of the payload.

use bytes::Bytes;

/// A snapshot that cannot be loaded. Nothing of it has been kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RdbError {
    /// It ends in the middle.
    #[error("the snapshot ends at byte {position}, where {needed} more bytes were expected")]
    Truncated {
        /// Where the missing item begins.
        position: usize,
        /// How many bytes it still needs at least.
        needed: u64,
    },
    /// It goes on after its end.
    #[error("{count} bytes follow the end of the snapshot at byte {position}")]
    TrailingBytes {
        /// Where the snapshot ended.
        position: usize,
        /// How many bytes follow.
        count: usize,
    },
    /// It is no RDB.
    #[error("the snapshot begins with neither REDIS nor VALKEY and a version")]
    BadMagic,
    /// It is of a version that we do not know.
    #[error("snapshot version {version} is not supported (1 to 13, and VALKEY080, are)")]
    UnsupportedVersion {
        /// The version it claims.
        version: u32,
    },
    /// A key holds something of a type that we do not have.
    #[error("key {key:?} is a {type_name}, which this server does not hold")]
    UnsupportedType {
        /// The key.
        key: Bytes,
        /// What its type is called.
        type_name: &'static str,
    },
    /// It contains something else than keys that we do not hold.
    #[error("the snapshot contains {section}, which this server does not hold (byte {position})")]
    UnsupportedSection {
        /// What it is called.
        section: &'static str,
        /// Where it begins.
        position: usize,
    },
    /// A byte that starts nothing we know.
    #[error("unknown opcode or type {code} at byte {position}")]
    UnknownCode {
        /// The byte.
        code: u8,
        /// Where it stands.
        position: usize,
    },
    /// A length or an encoding that is none.
    #[error("bad length encoding at byte {position}")]
    BadLength {
        /// Where it stands.
        position: usize,
    },
    /// A compressed string that does not decompress to what it announces.
    #[error("bad compressed string at byte {position}")]
    BadCompression {
        /// Where it stands.
        position: usize,
    },
    /// A collection whose inside is not what its type says, or holds something twice.
    #[error("bad {form} before byte {position}")]
    BadCollection {
        /// How it was stored.
        form: &'static str,
        /// Where it ended, or the bad part of it.
        position: usize,
    },
    /// A database that we do not have.
    #[error("database {number} at byte {position} is out of range")]
    BadDatabase {
        /// The number.
        number: u64,
        /// Where it stands.
        position: usize,
    },
    /// The same key twice in one database.
    #[error("key {key:?} appears twice")]
    DuplicateKey {
        /// The key.
        key: Bytes,
    },
    /// A replication field that is no number, or an ID that has not forty characters.
    #[error("bad auxiliary field {name:?}")]
    BadField {
        /// Its name.
        name: Bytes,
    },
    /// Bytes changed on the way.
    #[error("the checksum of the snapshot is {actual:016x}, but it says {expected:016x}")]
    BadChecksum {
        /// What the snapshot says.
        expected: u64,
        /// What its bytes give.
        actual: u64,
    },
}
