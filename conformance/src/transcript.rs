//! What was said on one connection: the last bytes each way, with the time, for the report of a failure.
//! It is a bounded memory and a printer; it understands no byte of what it keeps. Times are milliseconds since the
//! start of the case.
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// How many bytes each direction of one connection remembers: two commands of 32 KiB would say no more than their ends.
pub const MAX_REMEMBERED_BYTES: usize = 16 * 1024;
/// The longest run of bytes without a line end that is printed whole: a replication ID fits, a value does not.
const MAX_SHOWN_RUN_BYTES: usize = 80;
/// How much of a longer run is shown at its beginning and at its end.
const SHOWN_HEAD_BYTES: usize = 32;
const SHOWN_TAIL_BYTES: usize = 16;

/// The moment a case began; all transcripts of the case count from it.
#[derive(Debug, Clone, Copy)]
pub struct CaseClock(Instant);

impl CaseClock {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the start.
    pub fn elapsed_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

/// Which way bytes went, seen from the harness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the harness to the subject.
    Sent,
    /// From the subject to the harness.
    Received,
}

/// What was said on one connection, as a report shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// The name of the connection.
    pub connection: String,
    /// How many runs of bytes there were, those that are forgotten included.
    pub exchanges: u64,
    /// The last of them.
    pub lines: Vec<LogLine>,
}

/// One run of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Milliseconds since the case began.
    pub at_ms: u64,
    /// Which way.
    pub direction: Direction,
    /// How many bytes before these were forgotten.
    pub forgotten: usize,
    /// The bytes in C notation, long runs shortened.
    pub bytes: String,
    /// How often the same question got the same answer in a row; this is the last time.
    pub times: usize,
}

/// Of questions that were asked again and again and got the same answer, the last, with how often.
fn without_repetition(lines: impl Iterator<Item = LogLine>) -> Vec<LogLine> {
    let same = |one: &LogLine, other: &LogLine| {
        (one.direction, &one.bytes) == (other.direction, &other.bytes)
    };
    let mut kept: Vec<LogLine> = Vec::new();
    for line in lines {
        kept.push(line);
        if let [.., a, b, c, d] = &mut kept[..]
            && same(a, c)
            && same(b, d)
        {
            (c.times, d.times) = (a.times + 1, b.times + 1);
            kept.drain(kept.len() - 4..kept.len() - 2);
        }
    }
    kept
}

impl fmt::Display for Log {
    /// One line a run of bytes: time, `>` for sent or `<` for received, the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({} exchanges)", self.connection, self.exchanges)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.direction {
            Direction::Sent => '>',
            Direction::Received => '<',
        };
        write!(f, "{:>8} ms {arrow} ", self.at_ms)?;
        if self.forgotten > 0 {
            write!(f, "…[{} bytes before]…", self.forgotten)?;
        }
        f.write_str(&self.bytes)?;
        if self.times > 1 {
            write!(f, " ({} times)", self.times)?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct Chunk {
    at_ms: u64,
    direction: Direction,
    bytes: Vec<u8>,
    /// Bytes before the kept ones that were forgotten.
    forgotten: usize,
}

#[derive(Debug)]
struct Memory {
    label: String,
    chunks: VecDeque<Chunk>,
    notes: u64,
}

/// A handle to the memory of one connection; clones share it, so it outlives the connection.
#[derive(Debug, Clone)]
pub struct Transcript {
    clock: CaseClock,
    memory: Arc<Mutex<Memory>>,
}

impl Transcript {
    /// An empty memory for a connection of this name.
    pub fn new(label: impl Into<String>, clock: CaseClock) -> Self {
        Self {
            clock,
            memory: Arc::new(Mutex::new(Memory {
                label: label.into(),
                chunks: VecDeque::new(),
                notes: 0,
            })),
        }
    }

    /// A fresh memory of another name on the same clock.
    pub fn sibling(&self, label: impl Into<String>) -> Self {
        Self::new(label, self.clock)
    }

    /// The name of the connection.
    pub fn label(&self) -> String {
        self.lock().label.clone()
    }

    /// Remembers bytes that were sent.
    pub fn sent(&self, bytes: &[u8]) {
        self.remember(Direction::Sent, bytes);
    }

    /// Remembers bytes that were received.
    pub fn received(&self, bytes: &[u8]) {
        self.remember(Direction::Received, bytes);
    }

    /// The last bytes of one direction, oldest first, at most [`MAX_REMEMBERED_BYTES`].
    pub fn last_bytes(&self, direction: Direction) -> Vec<u8> {
        self.lock()
            .chunks
            .iter()
            .filter(|chunk| chunk.direction == direction)
            .flat_map(|chunk| chunk.bytes.clone())
            .collect()
    }

    /// What is remembered, oldest first, each run of bytes shortened to what a reader wants to see.
    pub fn log(&self) -> Log {
        let memory = self.lock();
        let lines = memory.chunks.iter().map(|chunk| LogLine {
            at_ms: chunk.at_ms,
            direction: chunk.direction,
            forgotten: chunk.forgotten,
            bytes: shortened(&chunk.bytes),
            times: 1,
        });
        Log {
            connection: memory.label.clone(),
            exchanges: memory.notes,
            lines: without_repetition(lines),
        }
    }

    fn remember(&self, direction: Direction, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let kept = &bytes[bytes.len().saturating_sub(MAX_REMEMBERED_BYTES)..];
        let chunk = Chunk {
            at_ms: self.clock.elapsed_ms(),
            direction,
            bytes: kept.to_vec(),
            forgotten: bytes.len() - kept.len(),
        };
        let mut memory = self.lock();
        memory.notes += 1;
        memory.chunks.push_back(chunk);
        memory.forget(direction);
    }

    /// A panic elsewhere does not make the bytes less true: a poisoned memory is still read.
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Drops the oldest chunks of a direction until the rest fits.
    fn forget(&mut self, direction: Direction) {
        let mut held: usize = self
            .chunks
            .iter()
            .filter(|chunk| chunk.direction == direction)
            .map(|chunk| chunk.bytes.len())
            .sum();
        while held > MAX_REMEMBERED_BYTES {
            let Some(oldest) = self
                .chunks
                .iter()
                .position(|chunk| chunk.direction == direction)
            else {
                return;
            };
            held -= self
                .chunks
                .remove(oldest)
                .map_or(0, |chunk| chunk.bytes.len());
        }
    }
}

/// Bytes in C notation: printable ASCII as it is, everything else escaped.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

/// Like [`escaped`], with the middle of each run longer than 80 bytes replaced by its length.
pub fn shortened(bytes: &[u8]) -> String {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .map(shortened_run)
        .collect()
}

fn shortened_run(run: &[u8]) -> String {
    if run.len() <= MAX_SHOWN_RUN_BYTES {
        return escaped(run);
    }
    let (head, rest) = run.split_at(SHOWN_HEAD_BYTES);
    let (middle, tail) = rest.split_at(rest.len() - SHOWN_TAIL_BYTES);
    format!(
        "{}…[{} bytes]…{}",
        escaped(head),
        middle.len(),
        escaped(tail)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shortened_and_bytes_are_escaped() {
        let command = [b"$200\r\n".as_slice(), &[b'v'; 200], b"\r\n\x00\"\\"].concat();
        assert_eq!(
            shortened(&command),
            "$200\\r\\nvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv…[154 bytes]…vvvvvvvvvvvvvv\\r\\n\\x00\\\"\\\\"
        );
    }

    #[test]
    fn a_question_asked_again_and_again_is_shown_once() {
        let transcript = Transcript::new("control", CaseClock::start());
        transcript.sent(b"SET a 1");
        transcript.received(b"+OK");
        for _ in 0..9 {
            transcript.sent(b"INFO");
            transcript.received(b"$5");
        }
        transcript.sent(b"INFO");
        transcript.received(b"$6");
        let log = transcript.log();
        let shown: Vec<_> = log
            .lines
            .iter()
            .map(|line| (line.bytes.as_str(), line.times))
            .collect();
        let asked = [("INFO", 9), ("$5", 9), ("INFO", 1), ("$6", 1)];
        assert_eq!(shown, [&[("SET a 1", 1), ("+OK", 1)], &asked[..]].concat());
    }

    #[test]
    fn memory_is_bounded_in_each_direction_and_keeps_the_last_bytes() {
        let transcript = Transcript::new("link", CaseClock::start());
        transcript.sent(b"PING");
        for round in 0..40_u8 {
            transcript.received(&[round; 1000]);
        }
        transcript.received(&vec![77; 3 * MAX_REMEMBERED_BYTES]);
        assert_eq!(transcript.last_bytes(Direction::Sent), b"PING");
        assert_eq!(
            transcript.last_bytes(Direction::Received),
            vec![77; MAX_REMEMBERED_BYTES]
        );
        let shown = transcript.log().to_string();
        assert!(shown.contains("…[32768 bytes before]…"));
    }
}
