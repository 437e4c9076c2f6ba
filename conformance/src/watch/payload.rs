//! A snapshot on its way: where it ends, and which label it carries. Nothing of it is kept but its beginning.
use memchr::memmem;

use crate::rdb::{self, Label};
use crate::wire::{Framing, MARK_BYTES};

/// How much of the beginning is kept for its label: the fields come first and are short.
const HEAD_BYTES: usize = 2 * 1024;

/// A snapshot of which not all bytes have passed.
#[derive(Debug)]
pub(super) struct Payload {
    end: End,
    head: Vec<u8>,
}

#[derive(Debug)]
enum End {
    /// So many bytes are to come.
    After(u64),
    /// It ends with this mark, of which the last bytes seen may be the beginning.
    Mark {
        mark: [u8; MARK_BYTES],
        tail: Vec<u8>,
    },
}

impl Payload {
    /// Begins behind the line that announced it.
    pub(super) fn new(framing: &Framing) -> Self {
        let end = match *framing {
            Framing::Length(length) => End::After(length),
            Framing::Mark(mark) => End::Mark {
                mark,
                tail: Vec::new(),
            },
        };
        Self {
            end,
            head: Vec::new(),
        }
    }

    /// Whether all of the beginning has passed.
    pub(super) fn has_head(&self) -> bool {
        self.head.len() == HEAD_BYTES
    }

    /// How many of its bytes are held.
    pub(super) fn held_bytes(&self) -> usize {
        self.head.len()
    }

    /// Whether it ends with a mark: it was sent directly.
    pub(super) fn is_streamed(&self) -> bool {
        matches!(self.end, End::Mark { .. })
    }

    /// Bytes pass: how many of them belong to the snapshot, if it ends among them.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Option<usize> {
        let room = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        match &mut self.end {
            End::After(left) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                (*left == 0).then_some(taken as usize)
            }
            End::Mark { mark, tail } => find_mark(mark, tail, bytes),
        }
    }

    /// The label it carries, as far as its beginning shows one. A snapshot without a key is shorter than what is kept.
    pub(super) fn label(&self) -> Option<Label> {
        rdb::label_at_beginning(&self.head)
    }
}

/// The place behind the mark. `tail` are the last bytes of what came before, fewer than a mark.
fn find_mark(mark: &[u8; MARK_BYTES], tail: &mut Vec<u8>, bytes: &[u8]) -> Option<usize> {
    let before = tail.len();
    tail.extend_from_slice(&bytes[..bytes.len().min(MARK_BYTES - 1)]);
    if let Some(at) = memmem::find(tail, mark) {
        return Some(at + MARK_BYTES - before);
    }
    if let Some(at) = memmem::find(bytes, mark) {
        return Some(at + MARK_BYTES);
    }
    if bytes.len() >= MARK_BYTES {
        tail.clear();
        tail.extend_from_slice(&bytes[bytes.len() - (MARK_BYTES - 1)..]);
    } else {
        let surplus = tail.len().saturating_sub(MARK_BYTES - 1);
        tail.drain(..surplus);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DataSet;

    /// Where the snapshot ends when its bytes come in pieces of this size, and what it carries.
    fn end(framing: &Framing, bytes: &[u8], step: usize) -> (Option<usize>, Option<Label>) {
        let mut payload = Payload::new(framing);
        let mut before = 0;
        for piece in bytes.chunks(step) {
            if let Some(taken) = payload.pass(piece) {
                return (Some(before + taken), payload.label());
            }
            before += piece.len();
        }
        (None, payload.label())
    }

    #[test]
    fn both_framings_end_where_they_should_at_every_split() {
        let label = Label {
            id: "a".repeat(40),
            offset: 123_456,
            stream_db: 3,
        };
        let mut data = DataSet::new();
        data.insert(0, "key", "value");
        let snapshot = rdb::write(&data, Some(&label), 9).unwrap();
        let mark = *b"0123456789012345678901234567890123456789";
        // A mark that begins twice: half of it stands in front of the whole.
        let marked = [snapshot.as_slice(), &mark[..25], &mark, b"*1\r\n"].concat();
        let length = Framing::Length(snapshot.len() as u64);
        for step in 1..marked.len() {
            let whole = snapshot.len() + 25 + MARK_BYTES;
            let expected = (Some(whole), Some(label.clone()));
            assert_eq!(end(&Framing::Mark(mark), &marked, step), expected, "{step}");
            let expected = (Some(snapshot.len()), Some(label.clone()));
            assert_eq!(end(&length, &marked, step), expected, "{step}");
        }
        assert_eq!(
            end(&Framing::Mark(mark), &marked[..marked.len() - 5], 7).0,
            None
        );
    }

    #[test]
    fn noise_has_no_label_and_a_long_snapshot_is_not_kept() {
        let mut payload = Payload::new(&Framing::Length(1 << 40));
        for _ in 0..100 {
            assert_eq!(payload.pass(&[0xfa; 4096]), None);
        }
        assert_eq!((payload.head.len(), payload.label()), (HEAD_BYTES, None));
    }
}
