//! Finds the commands in bytes that come in any pieces, without keeping them: a command of a gigabyte costs no more
//! memory than a short one. A format reader only: whether a command may come here is not known here.
use crate::wire::MAX_HEADER_BYTES;

/// How many bytes of one word are kept: a replication ID fits, and more is never looked at.
const KEPT_WORD_BYTES: usize = 64;
/// How many bytes of an inline command are kept.
const KEPT_INLINE_BYTES: usize = 512;
/// The longest inline command: where Redis gives up, too.
const MAX_INLINE_BYTES: u64 = 64 * 1024;
/// The most words of a command: the limit of Redis.
const MAX_WORDS: u64 = i32::MAX as u64;

/// Which commands there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Those of a stream: arrays of bulk strings.
    Stream,
    /// Those of a client: inline commands, too.
    Requests,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// A command is complete; [`Scanner::words`] has its first words.
    Command,
    /// A bare line end between commands.
    LineFeed,
}

/// Bytes that cannot stand here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbage;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Between two commands.
    Between,
    /// In the line with the number of words.
    Count,
    /// In the line with the length of a word.
    Length,
    /// In a word: so many bytes are to come, its line end included.
    Word { left: u64, is_kept: bool },
    /// In an inline command.
    Inline { taken: u64 },
}

/// An incremental reader of commands with a memory of constant size.
#[derive(Debug, Clone)]
pub(super) struct Scanner {
    alphabet: Alphabet,
    state: State,
    line: Vec<u8>,
    words_left: u64,
    kept_words: usize,
    words: Vec<Vec<u8>>,
}

impl Scanner {
    /// Begins between two commands; of each, the first `kept_words` words are kept.
    pub(super) fn new(alphabet: Alphabet, kept_words: usize) -> Self {
        Self {
            alphabet,
            state: State::Between,
            line: Vec::new(),
            words_left: 0,
            kept_words,
            words: Vec::new(),
        }
    }

    /// The first words of the command that was found last, each cut to what is kept.
    pub(super) fn words(&self) -> &[Vec<u8>] {
        &self.words
    }

    /// The name of the command that was found last, in upper case.
    pub(super) fn name(&self) -> String {
        self.text(0).to_ascii_uppercase()
    }

    /// A word of it as text; empty where there is none.
    pub(super) fn text(&self, place: usize) -> String {
        let word = self.words.get(place).map(Vec::as_slice);
        String::from_utf8_lossy(word.unwrap_or_default()).into_owned()
    }

    /// Reads up to the end of the next item, or all bytes if none ends in them: how many bytes were read, and what
    /// ended there. After an error the place is lost.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Result<Option<Item>, Garbage>) {
        let mut at = 0;
        while at < bytes.len() {
            let (taken, found) = self.step(&bytes[at..]);
            at += taken;
            match found {
                Ok(None) => {}
                end => return (at, end),
            }
        }
        (at, Ok(None))
    }

    fn step(&mut self, bytes: &[u8]) -> (usize, Result<Option<Item>, Garbage>) {
        match self.state {
            State::Between => self.begin(bytes[0]),
            State::Count => self.header(bytes, Self::count),
            State::Length => self.header(bytes, Self::length),
            State::Word { left, is_kept } => self.word(bytes, left, is_kept),
            State::Inline { taken } => self.inline(bytes, taken),
        }
    }

    fn begin(&mut self, first: u8) -> (usize, Result<Option<Item>, Garbage>) {
        match (first, self.alphabet) {
            (b'\n', _) => return (1, Ok(Some(Item::LineFeed))),
            (b'*', _) => self.state = State::Count,
            (letter, Alphabet::Requests) if letter.is_ascii_alphabetic() => {
                self.state = State::Inline { taken: 0 };
                self.line.clear();
                return (0, Ok(None));
            }
            _ => return (0, Err(Garbage)),
        }
        self.words.clear();
        self.line.clear();
        (1, Ok(None))
    }

    /// Collects a short line and hands it over without its end.
    fn header(
        &mut self,
        bytes: &[u8],
        then: fn(&mut Self, u64) -> Result<(), Garbage>,
    ) -> (usize, Result<Option<Item>, Garbage>) {
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |end| end + 1);
        if self.line.len() + taken > MAX_HEADER_BYTES {
            return (0, Err(Garbage));
        }
        self.line.extend_from_slice(&bytes[..taken]);
        if end.is_none() {
            return (taken, Ok(None));
        }
        let number = self.line_number();
        self.line.clear();
        (
            taken,
            number.and_then(|number| then(self, number)).map(|()| None),
        )
    }

    fn line_number(&self) -> Result<u64, Garbage> {
        let text = self.line.strip_suffix(b"\r\n").ok_or(Garbage)?;
        let digits = match self.state {
            State::Length => text.strip_prefix(b"$").ok_or(Garbage)?,
            _ => text,
        };
        let digits = std::str::from_utf8(digits).map_err(|_| Garbage)?;
        if digits.starts_with('+') {
            return Err(Garbage);
        }
        digits.parse().map_err(|_| Garbage)
    }

    fn count(&mut self, count: u64) -> Result<(), Garbage> {
        if count == 0 || count > MAX_WORDS {
            return Err(Garbage);
        }
        self.words_left = count;
        self.state = State::Length;
        Ok(())
    }

    fn length(&mut self, length: u64) -> Result<(), Garbage> {
        let left = length.checked_add(2).ok_or(Garbage)?;
        let is_kept = self.words.len() < self.kept_words;
        if is_kept {
            self.words.push(Vec::new());
        }
        self.state = State::Word { left, is_kept };
        Ok(())
    }

    fn word(
        &mut self,
        bytes: &[u8],
        left: u64,
        is_kept: bool,
    ) -> (usize, Result<Option<Item>, Garbage>) {
        let taken = (bytes.len() as u64).min(left);
        let body = taken.min(left.saturating_sub(2)) as usize;
        let (body, end) = bytes[..taken as usize].split_at(body);
        if let Some(good) = first_unlike(end, &LINE_END[2 - (left.min(2)) as usize..]) {
            return (body.len() + good, Err(Garbage));
        }
        if is_kept && let Some(word) = self.words.last_mut() {
            let room = KEPT_WORD_BYTES - word.len();
            word.extend_from_slice(&body[..body.len().min(room)]);
        }
        let left = left - taken;
        if left > 0 {
            self.state = State::Word { left, is_kept };
            return (taken as usize, Ok(None));
        }
        self.words_left -= 1;
        let is_last = self.words_left == 0;
        self.state = if is_last {
            State::Between
        } else {
            State::Length
        };
        (taken as usize, Ok(is_last.then_some(Item::Command)))
    }

    fn inline(&mut self, bytes: &[u8], before: u64) -> (usize, Result<Option<Item>, Garbage>) {
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |end| end + 1);
        let room = KEPT_INLINE_BYTES - self.line.len();
        self.line.extend_from_slice(&bytes[..taken.min(room)]);
        let all = before + taken as u64;
        if all > MAX_INLINE_BYTES {
            return (0, Err(Garbage));
        }
        if end.is_none() {
            self.state = State::Inline { taken: all };
            return (taken, Ok(None));
        }
        let words = self.line.split(u8::is_ascii_whitespace);
        let words = words.filter(|word| !word.is_empty());
        self.words = words
            .take(self.kept_words)
            .map(|word| word[..word.len().min(KEPT_WORD_BYTES)].to_vec())
            .collect();
        self.state = State::Between;
        (taken, Ok(Some(Item::Command)))
    }
}

/// What closes a word.
const LINE_END: &[u8] = b"\r\n";

/// The place of the first byte that is not the wanted one.
fn first_unlike(came: &[u8], wanted: &[u8]) -> Option<usize> {
    came.iter()
        .zip(wanted)
        .position(|(came, wanted)| came != wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode;

    /// Every item with the number of bytes up to its end, read in pieces of this size; the rest is an error's place.
    fn read(alphabet: Alphabet, bytes: &[u8], step: usize) -> (Vec<(u64, String)>, Option<u64>) {
        let (mut scanner, mut found, mut at) = (Scanner::new(alphabet, 2), Vec::new(), 0);
        for piece in bytes.chunks(step) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (taken, item) = scanner.next(rest);
                at += taken as u64;
                rest = &rest[taken..];
                match item {
                    Ok(Some(Item::Command)) => {
                        found.push((
                            at,
                            scanner
                                .words()
                                .iter()
                                .map(|w| lossy(w))
                                .collect::<Vec<_>>()
                                .join(" "),
                        ));
                    }
                    Ok(Some(Item::LineFeed)) => found.push((at, String::new())),
                    Ok(None) => {}
                    Err(Garbage) => return (found, Some(at)),
                }
            }
        }
        (found, None)
    }

    fn lossy(word: &[u8]) -> String {
        String::from_utf8_lossy(word).into_owned()
    }

    #[test]
    fn items_are_found_at_every_split() {
        let set = encode(&["SET", "key", "a\r\nb"]);
        let bytes = [
            &set,
            b"\n".as_slice(),
            &encode(&["EXEC"]),
            b"*1\r\n$3\r\nabcd",
        ]
        .concat();
        let ends = [set.len(), set.len() + 1, set.len() + 15].map(|end| end as u64);
        let names = ["SET key", "", "EXEC"].map(str::to_owned);
        let expected: Vec<_> = ends.into_iter().zip(names).collect();
        let wrong_at = (bytes.len() - 1) as u64;
        for step in 1..=bytes.len() {
            assert_eq!(
                read(Alphabet::Stream, &bytes, step),
                (expected.clone(), Some(wrong_at)),
                "pieces of {step}"
            );
        }
    }

    #[test]
    fn clients_may_write_inline_and_a_stream_may_not() {
        let bytes = b"sync\r\nREPLCONF  ACK 5\n";
        let found = vec![(6, "sync".to_owned()), (22, "REPLCONF ACK".to_owned())];
        assert_eq!(read(Alphabet::Requests, bytes, 5), (found, None));
        assert_eq!(read(Alphabet::Stream, bytes, 5), (Vec::new(), Some(0)));
    }

    #[test]
    fn numbers_that_are_none_are_garbage() {
        for bytes in [
            "*0\r\n",
            "*-1\r\n",
            "*1\n",
            "*x\r\n",
            "*1\r\n$-1\r\n",
            "*1\r\n:1\r\n",
            "*9999999999\r\n",
        ] {
            let (found, wrong) = read(Alphabet::Stream, bytes.as_bytes(), 3);
            assert!(found.is_empty() && wrong.is_some(), "{bytes:?}");
        }
        let endless = [b"*".as_slice(), &[b'1'; 100]].concat();
        assert!(read(Alphabet::Stream, &endless, 7).1.is_some());
        assert!(
            read(Alphabet::Requests, &vec![b'a'; 70_000], 4096)
                .1
                .is_some()
        );
    }
}
