//! The wire log of a watch: JSON Lines in the harness's own notation of bytes, and judged again from there. Each line is
//! what passed on one connection at one moment, in the order in which it was judged. Of the inside of a snapshot only
//! the number of bytes is kept, and the last of them.
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::finding::From;
use super::judge::{Judge, Said};
use crate::transcript::{Direction, LogLine, escaped};
use crate::wire::MARK_BYTES;

/// The longest line read: four characters a byte of the largest piece that is written, with room for the rest.
const MAX_LINE_BYTES: u64 = 16 * 1024 * 1024;
/// The format, by name and version; a reader refuses another major version.
const FORMAT: &str = "psync-wire-log";
const VERSION: (u32, u32) = (1, 0);
/// How many bytes a line may claim to have left out.
const MAX_FORGOTTEN_BYTES: usize = 1 << 30;
/// In which pieces bytes that were left out are made up for.
const PIECE_BYTES: usize = 4 * 1024;

/// A log that cannot be read.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file cannot be read.
    #[error("line {line} of the log cannot be read: {source}")]
    Read {
        /// Its number.
        line: u64,
        /// Why not.
        source: io::Error,
    },
    /// A line is no entry.
    #[error("line {line} is no entry of a wire log: {source}")]
    Entry {
        /// Its number.
        line: u64,
        /// Why not.
        source: serde_json::Error,
    },
    /// A line is far too long.
    #[error("line {line} is longer than {MAX_LINE_BYTES} bytes, which no line of a wire log is")]
    TooLong {
        /// Its number.
        line: u64,
    },
    /// Its bytes are not in C notation, or it leaves out too many.
    #[error("the bytes of line {line} are not in the notation of a wire log")]
    Notation {
        /// Its number.
        line: u64,
    },
    /// The first line names another format.
    #[error("this is a {format} {version}, and this program reads {FORMAT} {}.x", VERSION.0)]
    Format {
        /// Its format.
        format: String,
        /// Its version.
        version: String,
    },
    /// There is no first line.
    #[error("the log is empty")]
    Empty,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    version: String,
    /// How many bytes of the streams the judge remembers: part of the verdict.
    memory_bytes: usize,
}

/// Any other line.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    connection: u64,
    #[serde(flatten)]
    what: What,
}

/// What happened on a connection.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum What {
    /// Bytes passed; `sent` are those that go to the primary, `received` those that come from it.
    Passed(LogLine),
    /// It was opened from this host.
    Opened { at_ms: u64, opened_from: String },
    /// It ended.
    Closed { at_ms: u64, closed: bool },
}

/// Writes a log.
pub struct LogWriter<W> {
    out: W,
}

impl<W: Write> LogWriter<W> {
    /// Begins with the header.
    pub fn new(mut out: W, memory_bytes: usize) -> io::Result<Self> {
        let header = Header {
            format: FORMAT.to_owned(),
            version: format!("{}.{}", VERSION.0, VERSION.1),
            memory_bytes,
        };
        write_line(&mut out, &header)?;
        Ok(Self { out })
    }

    /// A connection was opened.
    pub fn opened(&mut self, at_ms: u64, connection: u64, host: &str) -> io::Result<()> {
        let opened_from = host.to_owned();
        self.write(connection, What::Opened { at_ms, opened_from })
    }

    /// Bytes passed. Of the inside of a snapshot, only the last are written: its mark may begin there.
    pub fn passed(
        &mut self,
        at_ms: u64,
        connection: u64,
        from: From,
        bytes: &[u8],
        is_inside_snapshot: bool,
    ) -> io::Result<()> {
        let kept = if is_inside_snapshot {
            bytes.len().min(MARK_BYTES - 1)
        } else {
            bytes.len()
        };
        let forgotten = bytes.len() - kept;
        let line = LogLine {
            at_ms,
            direction: match from {
                From::Replica => Direction::Sent,
                From::Primary => Direction::Received,
            },
            forgotten,
            bytes: escaped(&bytes[forgotten..]),
            times: 1,
        };
        self.write(connection, What::Passed(line))
    }

    /// A connection ended.
    pub fn closed(&mut self, at_ms: u64, connection: u64) -> io::Result<()> {
        let closed = true;
        self.write(connection, What::Closed { at_ms, closed })
    }

    /// Makes sure that all of it is written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn write(&mut self, connection: u64, what: What) -> io::Result<()> {
        write_line(&mut self.out, &Entry { connection, what })
    }
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Judges a log again: what is said goes to `say`, and the judge is returned with what it measured.
pub fn replay(mut log: impl BufRead, mut say: impl FnMut(Said)) -> Result<Judge, LogError> {
    let mut text = String::new();
    let mut number = 1;
    if !read_line(&mut log, number, &mut text)? {
        return Err(LogError::Empty);
    }
    let mut judge = Judge::new(header(&text)?.memory_bytes);
    loop {
        number += 1;
        if !read_line(&mut log, number, &mut text)? {
            return Ok(judge);
        }
        let entry: Entry = serde_json::from_str(&text).map_err(|source| LogError::Entry {
            line: number,
            source,
        })?;
        again(&mut judge, entry, &mut say).ok_or(LogError::Notation { line: number })?;
    }
}

fn read_line(log: &mut impl BufRead, line: u64, text: &mut String) -> Result<bool, LogError> {
    text.clear();
    let mut limited = io::Read::take(log, MAX_LINE_BYTES);
    let count = limited.read_line(text);
    match count.map_err(|source| LogError::Read { line, source })? as u64 {
        0 => Ok(false),
        MAX_LINE_BYTES => Err(LogError::TooLong { line }),
        _ => Ok(true),
    }
}

fn header(text: &str) -> Result<Header, LogError> {
    let header: Header =
        serde_json::from_str(text).map_err(|source| LogError::Entry { line: 1, source })?;
    let major = header.version.split('.').next();
    if header.format == FORMAT && major == Some(VERSION.0.to_string().as_str()) {
        Ok(header)
    } else {
        Err(LogError::Format {
            format: header.format,
            version: header.version,
        })
    }
}

/// Nothing when the bytes cannot be read.
fn again(judge: &mut Judge, entry: Entry, say: &mut impl FnMut(Said)) -> Option<()> {
    let link = entry.connection;
    match entry.what {
        What::Opened { at_ms, opened_from } => judge.opened(at_ms, link, &opened_from),
        What::Closed { at_ms, .. } => judge.closed(at_ms, link),
        What::Passed(piece) => {
            let bytes = unescaped(&piece.bytes)?;
            let from = match piece.direction {
                Direction::Sent => From::Replica,
                Direction::Received => From::Primary,
            };
            let mut left = (piece.forgotten <= MAX_FORGOTTEN_BYTES).then_some(piece.forgotten)?;
            while left > 0 {
                let count = left.min(PIECE_BYTES);
                let made_up = &[0; PIECE_BYTES][..count];
                let passed = judge.passed(piece.at_ms, link, from, made_up);
                passed.said.into_iter().for_each(&mut *say);
                left -= count;
            }
            let passed = judge.passed(piece.at_ms, link, from, &bytes);
            passed.said.into_iter().for_each(say);
        }
    }
    Some(())
}

/// The bytes that [`escaped`] wrote; nothing where the text is no such notation.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let (kind, after) = rest.split_first()?;
        rest = after;
        out.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'"' | b'\\' => *kind,
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_as_it_was() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescaped(&escaped(&all)), Some(all));
        for wrong in ["\\", "\\x", "\\x1", "\\xzz", "\\q"] {
            assert_eq!(unescaped(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_log_is_refused_with_its_line() {
        let judged = |text: &str| replay(text.as_bytes(), |_| {}).map(|_| ());
        let header = r#"{"format":"psync-wire-log","version":"1.7","memory_bytes":8000}"#;
        assert!(matches!(judged(""), Err(LogError::Empty)));
        assert!(matches!(
            judged("no\n"),
            Err(LogError::Entry { line: 1, .. })
        ));
        let other = header.replace("1.7", "2.0");
        assert!(matches!(judged(&other), Err(LogError::Format { .. })));
        let bad = format!("{header}\n{{\"connection\":1}}\n");
        assert!(matches!(judged(&bad), Err(LogError::Entry { line: 2, .. })));
        let bad = format!(
            "{header}\n{{\"connection\":1,\"at_ms\":0,\"direction\":\"sent\",\"forgotten\":0,\"bytes\":\"\\\\q\",\"times\":1}}"
        );
        assert!(matches!(judged(&bad), Err(LogError::Notation { line: 2 })));
        assert!(judged(header).is_ok());
    }
}
