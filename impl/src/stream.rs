//! The commands that replication itself writes, as bytes.

use bytes::Bytes;

pub use crate::resp::encode_command as command;

/// `SELECT` of a database.
pub fn select(database: usize) -> Bytes {
    command(&["SELECT", &database.to_string()])
}

/// The heartbeat of the stream; 14 bytes.
pub fn ping() -> Bytes {
    command(&["PING"])
}

/// The question for an acknowledgement; 37 bytes.
pub fn getack() -> Bytes {
    command(&["REPLCONF", "GETACK", "*"])
}

/// The opening of a transaction.
pub fn multi() -> Bytes {
    command(&["MULTI"])
}

/// The end of a transaction.
pub fn exec() -> Bytes {
    command(&["EXEC"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_protocol() {
        let lengths = [select(0), ping(), getack(), multi(), exec()].map(|bytes| bytes.len());
        assert_eq!(lengths, [23, 14, 37, 15, 14]);
    }
}
