//! Seven servers that are wrong in ways no fault of ours foresees, each made from a good server by a change of its
//! bytes. A connection on which nobody asks to replicate passes unchanged.
use super::Tamper;
use crate::data::DataSet;
use crate::played::Answer;
use crate::rdb;
use crate::wire::{Body, Framing, Phase, Reader};

/// What is changed on a replication connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// The first byte after the line `+CONTINUE` is lost.
    DropByteAfterContinue,
    /// The snapshot is a good one without a key.
    EmptySnapshot,
    /// `+FULLRESYNC` becomes `+CONTINUE`, and no snapshot comes.
    AlwaysContinue,
    /// The offset of `+FULLRESYNC` is one too high.
    OffsetPlusOne,
    /// `+FULLRESYNC` always names the same history.
    SameId,
    /// A line end follows the snapshot, as after every other bulk string.
    LineEndAfterSnapshot,
    /// The first thing in the stream is an error.
    ErrorInStream,
}

/// The name of every history, to [`Lie::SameId`].
const SAME_ID: &str = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb";

/// How far the conversation is, as the liar sees it.
#[derive(Debug)]
enum Stage {
    /// Nobody asked to replicate: nothing is touched.
    Ordinary,
    /// A request has passed: answers are read and changed.
    Answering,
    /// The first byte of the stream is to be lost, or something else comes before it.
    Losing,
    /// The stream, or something the liar does not understand: nothing is touched.
    Passing,
}

/// Tells one lie on one connection.
#[derive(Debug)]
pub struct Liar {
    lie: Lie,
    stage: Stage,
    requests: Reader,
    answers: Reader,
    framing: Option<Framing>,
    has_lied: bool,
}

impl Liar {
    /// A liar for one connection.
    pub fn new(lie: Lie) -> Self {
        let (requests, answers) = (Reader::new(Phase::Requests), Reader::new(Phase::Answers));
        Self {
            lie,
            stage: Stage::Ordinary,
            requests,
            answers,
            framing: None,
            has_lied: false,
        }
    }

    fn is_request(body: &Body) -> bool {
        matches!(body, Body::Command(command) if matches!(command.name().as_str(), "PSYNC" | "SYNC"))
    }

    /// Reads answers as far as they are complete and returns what is said instead.
    fn change_answers(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.answers.phase() == Phase::Answers {
            match self.answers.next_item() {
                Ok(Some(item)) => out.extend(self.instead_of(item.body)),
                Ok(None) => return out,
                // Not understood: the judge shall see it as it is.
                Err(_) => break,
            }
        }
        let is_losing = self.lie == Lie::ErrorInStream
            || self.lie == Lie::DropByteAfterContinue && self.has_lied;
        self.stage = if is_losing {
            Stage::Losing
        } else {
            Stage::Passing
        };
        let rest = self.answers.take_raw(usize::MAX);
        out.extend(self.after_answers(&rest));
        out
    }

    fn after_answers(&mut self, bytes: &[u8]) -> Vec<u8> {
        match (&self.stage, bytes.split_first()) {
            (Stage::Losing, Some((_, kept))) => {
                self.stage = Stage::Passing;
                match self.lie {
                    Lie::ErrorInStream => [b"-ERR nothing to see here\r\n", bytes].concat(),
                    _ => kept.to_vec(),
                }
            }
            _ => bytes.to_vec(),
        }
    }

    fn instead_of(&mut self, body: Body) -> Vec<u8> {
        match body {
            Body::Status(text) => match Answer::of_status(&text) {
                Some(answer) => self.instead_of_answer(answer).line(),
                None => format!("+{text}\r\n").into_bytes(),
            },
            Body::Error(text) => format!("-{text}\r\n").into_bytes(),
            // After a `+CONTINUE` that stands for a snapshot, silence until the stream.
            Body::KeepAlive if self.lie == Lie::AlwaysContinue && self.has_lied => Vec::new(),
            Body::KeepAlive => b"\n".to_vec(),
            Body::PayloadStart(framing) => {
                self.framing = Some(framing);
                Vec::new()
            }
            Body::Payload(snapshot) => self.instead_of_snapshot(snapshot),
            // No answer is a command.
            Body::Command(_) => Vec::new(),
        }
    }

    fn instead_of_answer(&mut self, answer: Answer) -> Answer {
        let (changed, has_lied) = match (self.lie, answer) {
            (Lie::AlwaysContinue, Answer::FullResync { id, .. }) => {
                (Answer::Continue { id: Some(id) }, true)
            }
            (Lie::OffsetPlusOne, Answer::FullResync { id, offset }) => (
                Answer::FullResync {
                    id,
                    offset: offset + 1,
                },
                true,
            ),
            (Lie::SameId, Answer::FullResync { offset, .. }) => {
                let id = SAME_ID.to_owned();
                (Answer::FullResync { id, offset }, true)
            }
            (Lie::DropByteAfterContinue, answer @ Answer::Continue { .. }) => (answer, true),
            (_, answer) => (answer, self.has_lied),
        };
        self.has_lied = has_lied;
        changed
    }

    fn instead_of_snapshot(&self, snapshot: Vec<u8>) -> Vec<u8> {
        let snapshot = match self.lie {
            Lie::AlwaysContinue if self.has_lied => return Vec::new(),
            Lie::EmptySnapshot => emptied(&snapshot).unwrap_or(snapshot),
            _ => snapshot,
        };
        let end: &[u8] = match self.lie {
            Lie::LineEndAfterSnapshot => b"\r\n",
            _ => b"",
        };
        if let Some(framing @ Framing::Mark(mark)) = &self.framing {
            return [framing.header(), snapshot, mark.to_vec(), end.to_vec()].concat();
        }
        let header = Framing::Length(snapshot.len() as u64).header();
        [header, snapshot, end.to_vec()].concat()
    }
}

/// The same snapshot without its keys: version and label stay.
fn emptied(snapshot: &[u8]) -> Option<Vec<u8>> {
    let read = rdb::read(snapshot).ok()?;
    rdb::write(&DataSet::new(), read.label.as_ref(), read.version).ok()
}

impl Tamper for Liar {
    fn to_server(&mut self, bytes: &[u8]) -> Vec<u8> {
        if matches!(self.stage, Stage::Ordinary) {
            self.requests.feed(bytes);
            // Requests that cannot be read are the server's to refuse.
            while let Ok(Some(item)) = self.requests.next_item() {
                if Self::is_request(&item.body) {
                    self.stage = Stage::Answering;
                }
            }
        }
        bytes.to_vec()
    }

    fn to_client(&mut self, bytes: &[u8]) -> Vec<u8> {
        match self.stage {
            Stage::Ordinary | Stage::Passing => bytes.to_vec(),
            Stage::Losing => self.after_answers(bytes),
            Stage::Answering => {
                self.answers.feed(bytes);
                self.change_answers()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode;

    /// What reaches the client when the server says `answers` to a PSYNC, piece by piece.
    fn told(lie: Lie, answers: &[u8], step: usize) -> Vec<u8> {
        let mut liar = Liar::new(lie);
        let request = encode(&["psync", "?", "-1"]);
        assert_eq!(liar.to_server(&request), request);
        answers
            .chunks(step)
            .flat_map(|piece| liar.to_client(piece))
            .collect()
    }

    fn snapshot(keys: u8) -> Vec<u8> {
        let mut data = DataSet::new();
        (0..keys).for_each(|key| data.insert(0, vec![key], "v"));
        rdb::write(&data, None, 9).unwrap()
    }

    fn full(offset: i64, framing: &Framing, snapshot: &[u8]) -> Vec<u8> {
        named("0123", offset, framing, snapshot)
    }

    fn named(id: &str, offset: i64, framing: &Framing, snapshot: &[u8]) -> Vec<u8> {
        let line = Answer::FullResync {
            id: id.into(),
            offset,
        }
        .line();
        let closing: &[u8] = if let Framing::Mark(mark) = framing {
            mark
        } else {
            b""
        };
        [
            &line,
            b"\n".as_slice(),
            &framing.header(),
            snapshot,
            closing,
            &encode(&["PING"]),
        ]
        .concat()
    }

    #[test]
    fn each_lie_changes_one_thing_at_every_split() {
        let (three, none) = (snapshot(3), snapshot(0));
        let length = |bytes: &[u8]| Framing::Length(bytes.len() as u64);
        let mark = Framing::Mark([b'm'; 40]);
        let good = full(7, &length(&three), &three);
        let cases = [
            (
                Lie::OffsetPlusOne,
                good.clone(),
                full(8, &length(&three), &three),
            ),
            (
                Lie::EmptySnapshot,
                good.clone(),
                full(7, &length(&none), &none),
            ),
            (
                Lie::EmptySnapshot,
                full(7, &mark, &three),
                full(7, &mark, &none),
            ),
            (
                Lie::AlwaysContinue,
                good.clone(),
                [b"+CONTINUE 0123\r\n".as_slice(), &encode(&["PING"])].concat(),
            ),
            (Lie::DropByteAfterContinue, good.clone(), good.clone()),
            (
                Lie::ErrorInStream,
                b"+CONTINUE\r\n*1\r\n".to_vec(),
                b"+CONTINUE\r\n-ERR nothing to see here\r\n*1\r\n".to_vec(),
            ),
            (
                Lie::SameId,
                good,
                named(SAME_ID, 7, &length(&three), &three),
            ),
            (
                Lie::DropByteAfterContinue,
                b"+CONTINUE\r\n*1\r\n".to_vec(),
                b"+CONTINUE\r\n1\r\n".to_vec(),
            ),
        ];
        for (lie, answers, expected) in cases {
            for step in 1..=answers.len() {
                assert_eq!(
                    told(lie, &answers, step),
                    expected,
                    "{lie:?} in pieces of {step}"
                );
            }
        }
    }

    #[test]
    fn ordinary_clients_see_nothing_of_it() {
        let mut liar = Liar::new(Lie::AlwaysContinue);
        liar.to_server(&encode(&["GET", "PSYNC"]));
        let reply = b"$37\r\n+FULLRESYNC 0123 7 and other nice words\r\n";
        assert_eq!(liar.to_client(reply), reply);
    }
}
