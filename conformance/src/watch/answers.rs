//! The lines that a primary says before the stream, in bytes that come in any pieces, with a bounded memory.
use crate::reply::parse_reply;
use crate::wire::MAX_LINE_BYTES;

/// Lines and replies of which not all bytes have come.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: Vec<u8>,
}

/// What became of some bytes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// All are part of one.
    Part,
    /// A bare line end.
    Empty,
    /// It is complete; its end is taken away.
    Whole(Vec<u8>),
    /// It is longer than any.
    TooLong,
}

/// What became of some bytes of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// All are part of one.
    Part,
    /// It is complete.
    Whole,
    /// It is none, or longer than any of a handshake.
    Unreadable,
}

impl Lines {
    /// Whether nothing of a line has come.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many bytes are held.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Takes bytes up to the end of a line: how many.
    pub(super) fn line(&mut self, bytes: &[u8]) -> (usize, Line) {
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |end| end + 1);
        if self.held.len() + taken > MAX_LINE_BYTES {
            self.held.clear();
            return (taken, Line::TooLong);
        }
        self.held.extend_from_slice(&bytes[..taken]);
        if end.is_none() {
            return (taken, Line::Part);
        }
        let mut line = std::mem::take(&mut self.held);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.is_empty() {
            (taken, Line::Empty)
        } else {
            (taken, Line::Whole(line))
        }
    }

    /// Takes bytes up to the end of a reply: how many.
    pub(super) fn reply(&mut self, bytes: &[u8]) -> (usize, Reply) {
        let before = self.held.len();
        let room = MAX_LINE_BYTES - before;
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let found = parse_reply(&self.held);
        match found {
            Ok(Some((_, end))) => {
                self.held.clear();
                (end - before, Reply::Whole)
            }
            Ok(None) if bytes.len() < room => (bytes.len(), Reply::Part),
            _ => {
                self.held.clear();
                (bytes.len(), Reply::Unreadable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_and_lines_are_found_at_every_split() {
        let bytes = b"+PONG\r\n$2\r\nok\r\n\n+CONTINUE\r\nrest";
        for step in 1..=bytes.len() {
            let (mut lines, mut replies, mut whole, mut empty) =
                (Lines::default(), 0, Vec::new(), 0);
            for piece in bytes.chunks(step) {
                let mut rest = piece;
                while !rest.is_empty() {
                    let taken = if replies < 2 {
                        let (taken, reply) = lines.reply(rest);
                        replies += usize::from(reply == Reply::Whole);
                        taken
                    } else {
                        let (taken, line) = lines.line(rest);
                        match line {
                            Line::Whole(text) => whole.push(text),
                            Line::Empty => empty += 1,
                            Line::Part | Line::TooLong => {}
                        }
                        taken
                    };
                    rest = &rest[taken..];
                }
            }
            assert_eq!((replies, empty), (2, 1), "pieces of {step}");
            assert_eq!(whole, [b"+CONTINUE".to_vec()]);
        }
    }

    #[test]
    fn what_has_no_end_is_not_kept() {
        let mut lines = Lines::default();
        let endless = vec![b'x'; MAX_LINE_BYTES];
        assert_eq!(lines.line(&endless).1, Line::Part);
        assert_eq!(lines.line(&endless).1, Line::TooLong);
        assert!(lines.is_empty());
        let bulk = [b"$9999999\r\n".as_slice(), &endless].concat();
        assert_eq!(lines.reply(&bulk).1, Reply::Unreadable);
        assert!(lines.is_empty());
    }
}
