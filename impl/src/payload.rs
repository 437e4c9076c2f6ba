//! A snapshot as it arrives over a link: framed by a length or by a mark, kept in the pieces in which it came.

use bytes::{Bytes, BytesMut};

use crate::ids::ID_LENGTH;
use crate::replica::{PrimaryMisbehaved, take_line};

/// The longest snapshot that a primary may announce; more than any machine this server is for can hold.
pub(crate) const MAX_PAYLOAD_BYTES: u64 = 1 << 40;

/// Pieces of a payload shorter than this are gathered, so that one that comes byte by byte takes no more memory.
const GATHERED_BELOW_BYTES: usize = 16 * 1024;

/// A snapshot as it arrives (PROTOCOL §2.4).
#[derive(Debug)]
pub struct Payload {
    header: BytesMut,
    framing: Option<PayloadEnd>,
    /// What has come, as it came, but small pieces are gathered in `open`.
    pieces: Vec<Bytes>,
    open: BytesMut,
    received: u64,
    /// The last bytes, as many as a mark has.
    last: [u8; ID_LENGTH],
}

/// How the end of the payload is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PayloadEnd {
    Length(u64),
    Mark([u8; ID_LENGTH]),
}

/// What came of some bytes of a payload.
#[derive(Debug)]
pub enum PayloadStep {
    /// More is to come.
    Incomplete,
    /// This is all of it.
    Complete(Received),
}

/// A whole payload.
#[derive(Debug)]
pub struct Received {
    /// The snapshot, in pieces.
    pub payload: Vec<Bytes>,
    /// Its length in bytes.
    pub payload_bytes: u64,
    /// What came behind it.
    pub rest: Bytes,
    /// Whether a mark ended it, so that an acknowledgement is due at once.
    pub had_mark: bool,
}

impl Default for Payload {
    fn default() -> Self {
        Self {
            header: BytesMut::new(),
            framing: None,
            pieces: Vec::new(),
            open: BytesMut::new(),
            received: 0,
            last: [0; ID_LENGTH],
        }
    }
}

impl Payload {
    /// Takes bytes from the link.
    pub fn push(&mut self, bytes: Bytes) -> Result<PayloadStep, PrimaryMisbehaved> {
        if self.framing.is_some() {
            return Ok(self.push_body(bytes));
        }
        self.header.extend_from_slice(&bytes);
        while self.framing.is_none() {
            let Some(line) = take_line(&mut self.header)? else {
                return Ok(PayloadStep::Incomplete);
            };
            if !line.is_empty() {
                self.framing = Some(parse_header(&line)?);
            }
        }
        let body = self.header.split().freeze();
        Ok(self.push_body(body))
    }

    fn push_body(&mut self, mut bytes: Bytes) -> PayloadStep {
        match self.framing {
            Some(PayloadEnd::Length(length)) => {
                let wanted = (length - self.received).min(bytes.len() as u64);
                let rest = bytes.split_off(wanted as usize);
                self.keep(bytes);
                if self.received == length {
                    self.complete(rest, false)
                } else {
                    PayloadStep::Incomplete
                }
            }
            Some(PayloadEnd::Mark(mark)) => {
                self.keep(bytes);
                if self.last == mark && self.received >= ID_LENGTH as u64 {
                    self.drop_mark();
                    return self.complete(Bytes::new(), true);
                }
                PayloadStep::Incomplete
            }
            None => PayloadStep::Incomplete,
        }
    }

    /// Adds to what has come; memory grows by that, never by what was announced.
    fn keep(&mut self, bytes: Bytes) {
        self.received += bytes.len() as u64;
        let fresh = bytes.len().min(ID_LENGTH);
        self.last.copy_within(fresh.., 0);
        self.last[ID_LENGTH - fresh..].copy_from_slice(&bytes[bytes.len() - fresh..]);
        if bytes.len() < GATHERED_BELOW_BYTES {
            self.open.extend_from_slice(&bytes);
        }
        if bytes.len() >= GATHERED_BELOW_BYTES || self.open.len() >= GATHERED_BELOW_BYTES {
            self.seal();
        }
        if bytes.len() >= GATHERED_BELOW_BYTES {
            self.pieces.push(bytes);
        }
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push(self.open.split().freeze());
        }
    }

    /// Takes the mark off the end again, over as many pieces as it came in.
    fn drop_mark(&mut self) {
        self.seal();
        self.received -= ID_LENGTH as u64;
        let mut excess = ID_LENGTH;
        while let Some(mut piece) = self.pieces.pop() {
            let kept = piece.len().saturating_sub(excess);
            excess -= piece.len() - kept;
            piece.truncate(kept);
            if excess == 0 {
                self.pieces.push(piece);
                return;
            }
        }
    }

    /// Whether the payload itself has begun, and a mark will end it.
    pub fn is_direct(&self) -> bool {
        matches!(self.framing, Some(PayloadEnd::Mark(_)))
    }

    /// Bytes that have come, and how many there will be if that is known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        let total = match self.framing {
            Some(PayloadEnd::Length(length)) => Some(length),
            Some(PayloadEnd::Mark(_)) | None => None,
        };
        (self.received, total)
    }

    fn complete(&mut self, rest: Bytes, had_mark: bool) -> PayloadStep {
        self.seal();
        PayloadStep::Complete(Received {
            payload_bytes: self.received,
            payload: std::mem::take(&mut self.pieces),
            rest,
            had_mark,
        })
    }
}

fn parse_header(line: &[u8]) -> Result<PayloadEnd, PrimaryMisbehaved> {
    let text = || String::from_utf8_lossy(line).into_owned();
    let announced = line
        .strip_prefix(b"$")
        .ok_or_else(|| PrimaryMisbehaved::NoPayload { line: text() })?;
    if let Some(mark) = announced.strip_prefix(b"EOF:") {
        let mark = mark
            .try_into()
            .map_err(|_| PrimaryMisbehaved::NoPayload { line: text() })?;
        return Ok(PayloadEnd::Mark(mark));
    }
    let length = std::str::from_utf8(announced)
        .ok()
        .and_then(|digits| digits.parse::<u64>().ok());
    let length = length.filter(|length| *length <= MAX_PAYLOAD_BYTES);
    length
        .map(PayloadEnd::Length)
        .ok_or_else(|| PrimaryMisbehaved::ImpossibleLength { line: text() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(bytes: &[u8], chunk: usize) -> Result<PayloadStep, PrimaryMisbehaved> {
        let mut payload = Payload::default();
        let mut step = PayloadStep::Incomplete;
        for part in bytes.chunks(chunk) {
            step = payload.push(Bytes::copy_from_slice(part))?;
        }
        Ok(step)
    }

    #[test]
    fn a_payload_with_a_length_ends_there_and_the_rest_is_stream() {
        let step = pushed(b"\n\n$5\r\nREDISrest", 64).unwrap();
        let PayloadStep::Complete(received) = step else {
            panic!("{step:?}")
        };
        assert_eq!(
            (received.payload.concat(), received.rest.as_ref()),
            (b"REDIS".to_vec(), &b"rest"[..])
        );
    }

    #[test]
    fn a_mark_is_found_however_the_bytes_are_cut() {
        let mark = [b'm'; ID_LENGTH];
        let bytes = [b"$EOF:".as_slice(), &mark, b"\r\n", b"REDIS", &mark].concat();
        for chunk in [1, 3, 7, 40, 1000] {
            let step = pushed(&bytes, chunk).unwrap();
            let PayloadStep::Complete(received) = step else {
                panic!("{chunk}: {step:?}")
            };
            assert_eq!(received.payload.concat(), b"REDIS");
            assert!(received.had_mark);
        }
    }

    #[test]
    fn a_payload_of_several_pieces_is_all_of_them_without_the_mark() {
        let mark = [b'm'; ID_LENGTH];
        let body: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        let bytes = [b"$EOF:".as_slice(), &mark, b"\r\n", &body, &mark].concat();
        for chunk in [1, 7_001, GATHERED_BELOW_BYTES, 50_020, 200_000] {
            let PayloadStep::Complete(received) = pushed(&bytes, chunk).unwrap() else {
                panic!("{chunk}")
            };
            assert_eq!(received.payload.concat(), body, "{chunk}");
            assert_eq!(received.payload_bytes, body.len() as u64);
        }
    }

    #[test]
    fn impossible_lengths_are_refused_before_anything_is_kept() {
        for line in ["$4611686018427387904\r\n", "$-1\r\n", "$x\r\n"] {
            assert!(
                matches!(
                    pushed(line.as_bytes(), 64),
                    Err(PrimaryMisbehaved::ImpossibleLength { .. })
                ),
                "{line}"
            );
        }
        assert!(matches!(
            pushed(b"-ERR no\r\n", 64),
            Err(PrimaryMisbehaved::NoPayload { .. })
        ));
    }
}
