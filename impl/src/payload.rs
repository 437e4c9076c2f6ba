//! A snapshot as it arrives over a link: framed by a length or by a mark, and handed on as it comes.

use std::mem;

use bytes::{Bytes, BytesMut};

use crate::ids::ID_LENGTH;
use crate::replica::{Pieces, PrimaryMisbehaved, take_line};

/// The longest snapshot that a primary may announce; more than any machine this server is for can hold.
pub(crate) const MAX_PAYLOAD_BYTES: u64 = 1 << 40;

/// Pieces of a payload shorter than this are gathered, so that one that comes byte by byte takes no more memory.
const GATHERED_BELOW_BYTES: usize = 16 * 1024;

/// A snapshot as it arrives (PROTOCOL §2.4).
#[derive(Debug)]
pub struct Payload {
    header: BytesMut,
    framing: Option<PayloadEnd>,
    /// What has come, as it came, and has not been handed on; small pieces are gathered in `open`.
    pieces: Vec<Bytes>,
    open: BytesMut,
    /// The last bytes of one that a mark ends, as long as they may be that mark.
    held: Pieces,
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

/// What came behind a whole payload.
#[derive(Debug)]
pub struct Received {
    /// The length of the payload in bytes.
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
            held: Pieces::default(),
            received: 0,
            last: [0; ID_LENGTH],
        }
    }
}

impl Payload {
    /// Takes bytes from the link. Answers what is behind the payload when all of it has come.
    pub fn push(&mut self, bytes: Bytes) -> Result<Option<Received>, PrimaryMisbehaved> {
        if self.framing.is_some() {
            return Ok(self.push_body(bytes));
        }
        self.header.extend_from_slice(&bytes);
        while self.framing.is_none() {
            let Some(line) = take_line(&mut self.header)? else {
                return Ok(None);
            };
            if !line.is_empty() {
                self.framing = Some(parse_header(&line)?);
            }
        }
        let body = self.header.split().freeze();
        Ok(self.push_body(body))
    }

    /// What has come of the payload since it was asked last. While more is to come, some of it may be kept back.
    pub fn take_pieces(&mut self) -> Vec<Bytes> {
        mem::take(&mut self.pieces)
    }

    fn push_body(&mut self, mut bytes: Bytes) -> Option<Received> {
        match self.framing? {
            PayloadEnd::Length(length) => {
                let wanted = (length - self.received).min(bytes.len() as u64);
                let rest = bytes.split_off(wanted as usize);
                self.received += wanted;
                self.keep(bytes);
                (self.received == length).then(|| self.complete(rest, false))
            }
            PayloadEnd::Mark(mark) => {
                self.hold(bytes);
                let ends = self.last == mark && self.received >= ID_LENGTH as u64;
                ends.then(|| {
                    self.received -= ID_LENGTH as u64;
                    self.complete(Bytes::new(), true)
                })
            }
        }
    }

    /// Keeps all but the last bytes, which are held.
    fn hold(&mut self, bytes: Bytes) {
        let held = |received: u64| received.min(ID_LENGTH as u64) as usize;
        let before = held(self.received);
        self.received += bytes.len() as u64;
        let fresh = bytes.len().min(ID_LENGTH);
        self.last.copy_within(fresh.., 0);
        self.last[ID_LENGTH - fresh..].copy_from_slice(&bytes[bytes.len() - fresh..]);
        let let_go = before + bytes.len() - held(self.received);
        self.held.push(bytes);
        for piece in self.held.take(let_go) {
            self.keep(piece);
        }
    }

    /// Adds to what is to be handed on; memory grows by that, never by what was announced.
    fn keep(&mut self, bytes: Bytes) {
        let large = bytes.len() >= GATHERED_BELOW_BYTES;
        if !large {
            self.open.extend_from_slice(&bytes);
        }
        if large || self.open.len() >= GATHERED_BELOW_BYTES {
            self.seal();
        }
        if large {
            self.pieces.push(bytes);
        }
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push(self.open.split().freeze());
        }
    }

    /// Whether the payload itself has begun.
    pub fn has_begun(&self) -> bool {
        self.framing.is_some()
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

    fn complete(&mut self, rest: Bytes, had_mark: bool) -> Received {
        self.seal();
        Received {
            payload_bytes: self.received,
            rest,
            had_mark,
        }
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

    /// What came of the payload, and what ended it.
    fn pushed(
        bytes: &[u8],
        chunk: usize,
    ) -> Result<(Vec<u8>, Option<Received>), PrimaryMisbehaved> {
        let (mut payload, mut body, mut end) = (Payload::default(), Vec::new(), None);
        for part in bytes.chunks(chunk) {
            end = payload.push(Bytes::copy_from_slice(part))?;
            body.extend(payload.take_pieces());
        }
        Ok((body.concat(), end))
    }

    #[test]
    fn a_payload_with_a_length_ends_there_and_the_rest_is_stream() {
        let (body, end) = pushed(b"\n\n$5\r\nREDISrest", 64).unwrap();
        let received = end.expect("all of it has come");
        assert_eq!(
            (&body[..], &received.rest[..]),
            (&b"REDIS"[..], &b"rest"[..])
        );
    }

    #[test]
    fn a_mark_is_found_however_the_bytes_are_cut() {
        let mark = [b'm'; ID_LENGTH];
        let bytes = [b"$EOF:".as_slice(), &mark, b"\r\n", b"REDIS", &mark].concat();
        for chunk in [1, 3, 7, 40, 1000] {
            let (body, end) = pushed(&bytes, chunk).unwrap();
            assert_eq!(body, b"REDIS", "{chunk}");
            assert!(end.is_some_and(|received| received.had_mark), "{chunk}");
        }
    }

    #[test]
    fn a_payload_of_several_pieces_is_all_of_them_without_the_mark() {
        let mark = [b'm'; ID_LENGTH];
        let content: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        let bytes = [b"$EOF:".as_slice(), &mark, b"\r\n", &content, &mark].concat();
        for chunk in [1, 7_001, GATHERED_BELOW_BYTES, 50_020, 200_000] {
            let (body, end) = pushed(&bytes, chunk).unwrap();
            assert!(body == content, "{chunk}");
            let length = end.map(|received| received.payload_bytes);
            assert_eq!(length, Some(content.len() as u64), "{chunk}");
        }
    }

    #[test]
    fn what_has_come_is_handed_on_but_for_what_may_be_the_mark() {
        let marked = [b"$EOF:".as_slice(), &[b'm'; ID_LENGTH], b"\r\n"].concat();
        let large = Bytes::from(vec![b'v'; 3 * GATHERED_BELOW_BYTES]);
        for (head, held) in [(&marked[..], ID_LENGTH), (b"$1000000\r\n", 0)] {
            let mut payload = Payload::default();
            payload.push(Bytes::copy_from_slice(head)).unwrap();
            payload.push(large.clone()).unwrap();
            let handed_on = payload.take_pieces().concat();
            assert_eq!(handed_on.len(), large.len() - held);
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
