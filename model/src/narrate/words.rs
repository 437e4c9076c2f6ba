//! The small words: how an ID, a label, a data set, a command or a request is written for people.

use crate::decision::{Answer, Refusal, Via};
use crate::rules::Setting;
use crate::token::{Data, Database, Token, Tokens};
use crate::world::{
    Backlog, ErrorReply, Framing, Id, Label, PrimaryPhase, ReplicaPhase, Reply, Request, Stream,
    Wire,
};

/// An ID as `R1`; a name nobody can know as `unnamed`.
pub fn id(id: Id) -> String {
    match id {
        Id::ANONYMOUS => "unnamed".to_owned(),
        Id(u8::MAX) => "foreign".to_owned(),
        Id(number) => format!("R{number}"),
    }
}

/// A label as `R1:4`, the offset in units.
pub fn label(label: Label) -> String {
    format!("{}:{}", id(label.id), label.offset.0)
}

/// A label that may be missing.
pub fn label_or_none(found: Option<Label>) -> String {
    found.map_or_else(|| "no label".to_owned(), label)
}

/// A command: `w3`, `PING`.
pub fn token(token: Token) -> String {
    match token {
        Token::Write(number) | Token::OtherWrite(number) => format!("w{number}"),
        Token::Select(chosen) => format!("SELECT {}", database(chosen)),
        Token::Multi => "MULTI".to_owned(),
        Token::Exec => "EXEC".to_owned(),
        Token::Ping => "PING".to_owned(),
        Token::Foreign => "a foreign command".to_owned(),
        Token::Stray => "a stray byte".to_owned(),
    }
}

/// A database, by a number that it may have.
pub fn database(database: Database) -> String {
    match database {
        Database::First => "0".to_owned(),
        Database::Other => "1".to_owned(),
    }
}

/// Commands in order, with blanks between; `-` if there are none.
pub fn tokens(tokens: &Tokens) -> String {
    if tokens.is_empty() {
        return "-".to_owned();
    }
    let words: Vec<_> = tokens.iter().map(token).collect();
    words.join(" ")
}

/// A data set: `{w1 w2}`, with a mark if it holds what no true history yields.
pub fn data(data: Data) -> String {
    let words: Vec<_> = data.writes().map(|write| format!("w{write}")).collect();
    let mark = if data.is_corrupt() { " CORRUPT" } else { "" };
    format!("{{{}}}{mark}", words.join(" "))
}

/// What is in the stream's pipe.
pub fn stream(stream: &Stream) -> String {
    let tail = if stream.starts_with_tail {
        "tail of "
    } else {
        ""
    };
    format!("{tail}{}", tokens(&stream.tokens))
}

/// The bytes a backlog holds and the commands they make.
pub fn backlog(backlog: &Backlog) -> String {
    let first = backlog.first.0;
    match backlog.tokens.units() {
        0 => format!("empty, next byte {first}"),
        units => format!(
            "bytes {first} to {}: {}",
            i64::from(first) + units - 1,
            tokens(&backlog.tokens)
        ),
    }
}

/// A request as it stands on the wire.
pub fn request(setting: &Setting, request: Request) -> String {
    match request.wanted {
        Some((name, byte)) => format!("PSYNC {} {}", id(name), byte.0),
        None if setting.book.has_psync() => "PSYNC ? -1".to_owned(),
        None => "SYNC".to_owned(),
    }
}

/// A reply as it stands on the wire.
pub fn reply(reply: Reply) -> String {
    match reply {
        Reply::Continue(Some(name)) => format!("+CONTINUE {}", id(name)),
        Reply::Continue(None) => "+CONTINUE".to_owned(),
        Reply::Error(ErrorReply::Transient) => "-NOMASTERLINK or -LOADING".to_owned(),
        Reply::Error(ErrorReply::Unexpected) => "-ERR".to_owned(),
        Reply::FullResync(label) => format!("+FULLRESYNC {} {}", id(label.id), label.offset.0),
    }
}

/// How a snapshot travels.
pub const fn framing(framing: Framing) -> &'static str {
    match framing {
        Framing::Disk => "through a file",
        Framing::Socket => "sent directly",
    }
}

/// Under which name a request was recognised.
pub const fn via(via: Via) -> &'static str {
    match via {
        Via::Current => "under its current ID",
        Via::Secondary => "under its secondary ID",
        Via::Unchecked => "under an ID that is not its own",
    }
}

/// Why a request was refused.
pub const fn refusal(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoLabel => "the request names no history",
        Refusal::UnknownId => "the ID is unknown",
        Refusal::BeyondSecondary => "the byte lies beyond the limit of the secondary ID",
        Refusal::NoBacklog => "there is no backlog",
        Refusal::TooOld => "the byte is no longer in the backlog",
        Refusal::TooNew => "the byte lies beyond what was produced",
    }
}

/// What a primary said.
pub fn answer(answer: Answer) -> String {
    match answer {
        Answer::Continue(name) => format!("it continues, {}", via(name)),
        Answer::Full(reason) => format!("it declines: {}", refusal(reason)),
    }
}

/// The state of a connection.
pub const fn wire(wire: Wire) -> &'static str {
    match wire {
        Wire::Absent => "absent",
        Wire::Whole => "whole",
        Wire::Cut => "cut",
    }
}

/// What a replica does about its primary.
pub const fn replica_phase(phase: ReplicaPhase) -> &'static str {
    match phase {
        ReplicaPhase::Idle => "idle",
        ReplicaPhase::Asked => "has asked",
        ReplicaPhase::Transferring => "awaits the snapshot",
        ReplicaPhase::Connected => "connected",
        ReplicaPhase::ConnectedMute => "connected, never acknowledges",
    }
}

/// What a primary does about a replica.
pub const fn primary_phase(phase: PrimaryPhase) -> &'static str {
    match phase {
        PrimaryPhase::None => "knows of none",
        PrimaryPhase::Waiting => "snapshot to begin",
        PrimaryPhase::Accumulating => "snapshot being made",
        PrimaryPhase::Held => "awaits the first acknowledgement",
        PrimaryPhase::Online => "online",
    }
}
