//! What the words of a replica and the lines of a primary mean, as far as a watcher has to know.
use psync_model::decision::Refusal;
use psync_model::offset::{NextByte, ReplOffset};

use super::known::{FAR, Id};
use super::scanner::Scanner;
use crate::wire::{Framing, MARK_BYTES};

/// What a replica asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// A copy without a name.
    Sync,
    /// A copy with a name.
    Anything,
    /// The bytes of this history from this one on.
    From(Id, NextByte),
}

/// What a command of a replica means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A step of the handshake that says nothing to us.
    Hello,
    /// `REPLCONF` with what matters of it.
    Announced {
        /// Where the replica listens.
        port: Option<u16>,
        /// Whether it understands a name in `+CONTINUE`.
        has_psync2: bool,
        /// Whether it wants no stream.
        is_rdb_only: bool,
    },
    /// The connection is one of two.
    SecondChannel,
    /// An acknowledgement; nothing where its number is none.
    Acknowledged(Option<ReplOffset>),
    /// A request.
    Asked(Asked),
    /// A command of ordinary clients.
    Other,
}

/// The meaning of the command that was read last.
pub(super) fn understand(command: &Scanner) -> Said {
    match command.name().as_str() {
        "SYNC" => Said::Asked(Asked::Sync),
        "PSYNC" => Said::Asked(asked(&command.text(1), &command.text(2))),
        "REPLCONF" => replconf(command),
        "PING" | "AUTH" | "HELLO" | "SELECT" | "CLIENT" => Said::Hello,
        _ => Said::Other,
    }
}

/// Only the first character of the ID tells that there is none (`PROTOCOL §2.2`).
fn asked(id: &str, byte: &str) -> Asked {
    match offset(byte) {
        Some(byte) if !id.starts_with('?') => {
            Asked::From(Id::from(id.to_ascii_lowercase()), NextByte(byte.0))
        }
        _ => Asked::Anything,
    }
}

fn replconf(command: &Scanner) -> Said {
    let (mut port, mut has_psync2, mut is_rdb_only) = (None, false, false);
    for place in (1..command.words().len()).step_by(2) {
        let value = command.text(place + 1);
        match command.text(place).to_ascii_lowercase().as_str() {
            "ack" => return Said::Acknowledged(offset(&value)),
            // Not answered either.
            "getack" => return Said::Acknowledged(None),
            "rdb-channel" | "main-ch-client-id" | "set-rdb-client-id" => {
                return Said::SecondChannel;
            }
            "listening-port" => port = value.parse().ok(),
            "capa" => has_psync2 |= value.eq_ignore_ascii_case("psync2"),
            "rdb-only" => is_rdb_only |= value != "0",
            _ => {}
        }
    }
    Said::Announced {
        port,
        has_psync2,
        is_rdb_only,
    }
}

/// An offset of a stream, or a number that is compared with one: nothing that could not be added to.
pub(super) fn offset(text: &str) -> Option<ReplOffset> {
    let number: i64 = text.parse().ok()?;
    Some(ReplOffset(number.clamp(-FAR, FAR)))
}

/// The line in front of a snapshot.
pub(super) fn framing(line: &[u8]) -> Option<Framing> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix('$')?;
    match text.strip_prefix("EOF:") {
        Some(mark) => {
            let mark: [u8; MARK_BYTES] = mark.as_bytes().try_into().ok()?;
            Some(Framing::Mark(mark))
        }
        None => text.parse().ok().map(Framing::Length),
    }
}

/// Why the model refuses to continue, in words.
pub(super) fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoLabel => "the request names no history",
        Refusal::UnknownId => "that name is neither its current nor its secondary one",
        Refusal::BeyondSecondary => "from there on the two histories are known to differ",
        Refusal::NoBacklog => "it has no backlog",
        Refusal::TooOld => "no backlog begins so early",
        Refusal::TooNew => "the byte was never produced",
    }
}
