//! What was said on one connection: the last bytes each way, with the time, for the report of a failure.
//! It is a bounded memory and a printer; it understands no byte of what it keeps. Times are milliseconds since the
//! start of the case.
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the harness to the subject.
    Sent,
    /// From the subject to the harness.
    Received,
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

    /// One line a run of bytes: time, `>` for sent or `<` for received, the bytes in C notation, long runs shortened.
    pub fn render(&self) -> String {
        let memory = self.lock();
        let mut out = format!("{} ({} exchanges)\n", memory.label, memory.notes);
        for chunk in &memory.chunks {
            let arrow = if chunk.direction == Direction::Sent {
                '>'
            } else {
                '<'
            };
            let forgotten = if chunk.forgotten > 0 {
                format!("…[{} bytes before]…", chunk.forgotten)
            } else {
                String::new()
            };
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "{:>8} ms {arrow} {forgotten}{}",
                chunk.at_ms,
                shortened(&chunk.bytes)
            );
        }
        out
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
        assert!(transcript.render().contains("…[32768 bytes before]…"));
    }
}
