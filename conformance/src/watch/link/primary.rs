//! What a primary says: replies, the answer to a request, a snapshot, and the stream.
use std::sync::Arc;

use psync_model::decision::Answer;
use psync_model::offset::ReplOffset;
use psync_model::rulebook::Era;

use super::{Link, Stage};
use crate::rdb::Label;
use crate::watch::answers::{Line, Reply};
use crate::watch::finding::{From, Rule, shown};
use crate::watch::history::Trouble;
use crate::watch::known::{FAR, Id, Known};
use crate::watch::payload::Payload;
use crate::watch::requests::{self, Asked};
use crate::wire::{Framing, MARK_BYTES};

impl Link {
    /// Takes as many of the bytes as belong together.
    pub(super) fn take(&mut self, known: &mut Known, bytes: &[u8]) -> usize {
        match &mut self.stage {
            Stage::Unjudged => bytes.len(),
            Stage::Talking | Stage::Asking(_) if self.due > 0 => self.reply(known, bytes),
            Stage::Talking => {
                // Nobody asked for this: some other protocol, or a server that refuses the connection.
                self.stage = Stage::Unjudged;
                bytes.len()
            }
            Stage::Asking(_) => self.answer(known, bytes),
            Stage::Promised => self.promise(known, bytes),
            Stage::Receiving(_) => self.receive(known, bytes),
            Stage::Gated => {
                self.blame(
                    Rule::StreamGate,
                    self.at_primary(),
                    None,
                    "silence until the replica has acknowledged the snapshot",
                    shown(bytes).to_string(),
                );
                self.stage = Stage::Streaming;
                0
            }
            Stage::Streaming => {
                self.stream(known, bytes);
                bytes.len()
            }
        }
    }

    /// A reply of the handshake.
    fn reply(&mut self, known: &mut Known, bytes: &[u8]) -> usize {
        let (taken, reply) = self.lines.reply(bytes);
        match reply {
            Reply::Whole => self.due -= 1,
            Reply::Part => {}
            Reply::Unreadable => self.unjudged("a reply of the handshake cannot be read", known),
        }
        taken
    }

    /// The answer to a request.
    fn answer(&mut self, known: &mut Known, bytes: &[u8]) -> usize {
        let Stage::Asking(asked) = &self.stage else {
            return 0;
        };
        if self.lines.is_empty() && bytes[0] == b'$' && *asked == Asked::Sync {
            known.figures.counts.full += 1;
            self.note("a full copy without a name".to_owned());
            self.begin(None, ReplOffset(0), true);
            self.stage = Stage::Promised;
            return 0;
        }
        let (taken, line) = self.lines.line(bytes);
        match line {
            Line::Part | Line::Empty => {}
            Line::Whole(text) => self.answered(known, &text),
            Line::TooLong => self.unjudged("a line of the answer has no end", known),
        }
        taken
    }

    fn answered(&mut self, known: &mut Known, line: &[u8]) {
        let Stage::Asking(asked) = std::mem::replace(&mut self.stage, Stage::Talking) else {
            return;
        };
        let text = String::from_utf8_lossy(line).into_owned();
        let words: Vec<&str> = text.split(' ').collect();
        match (words[0], &words[1..]) {
            ("+FULLRESYNC", [id, offset]) if asked != Asked::Sync && is_id(id) => {
                match requests::offset(offset) {
                    Some(offset) => self.full(known, id, offset),
                    None => self.strange(known, line),
                }
            }
            ("+CONTINUE", []) if asked != Asked::Sync => self.continued(known, &asked, None),
            ("+CONTINUE", [id]) if asked != Asked::Sync => self.continued(known, &asked, Some(id)),
            ("+DUALCHANNELSYNC" | "+RDBCHANNELSYNC", _) => {
                let what = "the snapshot travels on a second connection (PROTOCOL §2.8)";
                self.unjudged(what, known);
            }
            (word, _) if word.starts_with('-') => {
                known.figures.counts.refused += 1;
                self.note(format!("refused: {}", shown(line)));
            }
            _ => self.strange(known, line),
        }
    }

    fn strange(&mut self, known: &mut Known, line: &[u8]) {
        let expected = "+FULLRESYNC <id> <offset>, +CONTINUE, or an error";
        self.lose(known, Rule::Reply, expected, line, "its answer is none");
    }

    /// Something came from which on the rest cannot be understood.
    fn lose(&mut self, known: &mut Known, rule: Rule, expected: &str, came: &[u8], why: &str) {
        self.blame(
            rule,
            self.at_primary(),
            None,
            expected,
            shown(came).to_string(),
        );
        self.unjudged(why, known);
    }

    fn full(&mut self, known: &mut Known, id: &str, offset: ReplOffset) {
        let id = Id::from(id.to_ascii_lowercase());
        known.figures.counts.full += 1;
        known.history(&id, offset).cut_at(offset);
        known.figures.reached(known.now_ms, &id, offset);
        known.current = Some(Arc::clone(&id));
        if let Some(key) = self.key() {
            known.past(&key).announced = Some(Arc::clone(&id));
        }
        self.note(format!("a full copy of {id} at {}", offset.0));
        self.begin(Some(id), offset, true);
        self.stage = Stage::Promised;
    }

    fn continued(&mut self, known: &mut Known, asked: &Asked, name: Option<&str>) {
        known.figures.counts.continued += 1;
        let line = format!("+CONTINUE {}", name.unwrap_or_default());
        let Asked::From(id, byte) = asked else {
            let expected = "+FULLRESYNC: the request names no history";
            self.blame(Rule::Answer, self.at_primary(), None, expected, line);
            return self.unjudged("nobody can say what it continues", known);
        };
        let (id, byte) = (Arc::clone(id), *byte);
        let is_named = name.is_none_or(|name| is_id(name) && self.era >= Era::Psync2);
        if !is_named {
            let expected = match self.era {
                Era::Psync2 | Era::Psync2V7 => "a name of 40 characters",
                _ => "no name: the replica did not announce psync2",
            };
            self.blame(
                Rule::ContinueName,
                self.at_primary(),
                None,
                expected,
                line.clone(),
            );
        }
        let name = name
            .filter(|name| is_id(name))
            .map(|name| Id::from(name.to_ascii_lowercase()));
        let now = name.clone().unwrap_or_else(|| Arc::clone(&id));
        let answer = known.continued(self.era, (&id, byte), &now);
        if let Answer::Full(refusal) = answer {
            let expected = format!(
                "+FULLRESYNC to PSYNC {id} {}: {}",
                byte.0,
                requests::reason(refusal)
            );
            let seen = shown(line.as_bytes()).to_string();
            self.blame(
                Rule::Answer,
                self.at_primary(),
                Some(byte.offset_before()),
                &expected,
                seen,
            );
        }
        // Without its name, the history is known only if it was called so before (PROTOCOL §6 X6).
        let is_known =
            name.is_some() || known.current.as_ref().is_none_or(|current| *current == id);
        known.current = name.or(known.current.take());
        self.note(format!("continued under {now} from byte {}", byte.0));
        self.begin(is_known.then_some(now), byte.offset_before(), false);
        self.back(known);
        self.stage = Stage::Streaming;
        if let Some(copy) = &mut self.copy {
            copy.acknowledged = Some(copy.start);
        }
    }

    /// The line in front of a snapshot.
    fn promise(&mut self, known: &mut Known, bytes: &[u8]) -> usize {
        let (taken, line) = self.lines.line(bytes);
        match line {
            Line::Part | Line::Empty => {}
            Line::TooLong => {
                self.frame(known, bytes);
            }
            Line::Whole(text) if text.starts_with(b"-") => self.stage = Stage::Talking,
            Line::Whole(text) => match requests::framing(&text) {
                Some(framing) => self.begin_payload(known, &framing),
                None => self.frame(known, &text),
            },
        }
        taken
    }

    fn begin_payload(&mut self, known: &mut Known, framing: &Framing) {
        let is_empty = *framing == Framing::Length(0);
        self.stage = Stage::Receiving(Payload::new(framing));
        if is_empty {
            self.received(known);
        }
    }

    fn frame(&mut self, known: &mut Known, came: &[u8]) {
        let expected = "$<length>, $EOF:<40 characters>, an error, or a line feed";
        let why = "nobody can say where its snapshot ends";
        self.lose(known, Rule::Framing, expected, came, why);
    }

    fn receive(&mut self, known: &mut Known, bytes: &[u8]) -> usize {
        let Stage::Receiving(payload) = &mut self.stage else {
            return 0;
        };
        match payload.pass(bytes) {
            None => bytes.len(),
            Some(taken) => {
                self.received(known);
                taken
            }
        }
    }

    /// A snapshot is complete.
    fn received(&mut self, known: &mut Known) {
        let Stage::Receiving(payload) = std::mem::replace(&mut self.stage, Stage::Streaming) else {
            return;
        };
        if payload.is_streamed() {
            self.stage = Stage::Gated;
        }
        if let Some(label) = payload.label() {
            self.compare_label(&label);
        }
        if self.is_rdb_only {
            return self.unjudged("it asked for the snapshot alone", known);
        }
        self.back(known);
    }

    fn compare_label(&mut self, label: &Label) {
        let Some((id, start)) = self
            .copy
            .as_ref()
            .and_then(|copy| Some((copy.id.clone()?, copy.start)))
        else {
            return;
        };
        if label.id.to_ascii_lowercase() != *id || label.offset != start.0 {
            let expected = format!("repl-id {id}, repl-offset {}", start.0);
            let seen = format!(
                "repl-id {}, repl-offset {}",
                shown(label.id.as_bytes()),
                label.offset
            );
            self.blame(
                Rule::SnapshotLabel,
                self.at_primary(),
                Some(start),
                &expected,
                seen,
            );
        }
    }

    fn stream(&mut self, known: &mut Known, bytes: &[u8]) {
        let Some(copy) = &mut self.copy else {
            return;
        };
        let before = copy.sent;
        copy.sent = before.plus(bytes.len() as i64);
        if !copy.is_sound || copy.sent.0 >= FAR {
            return;
        }
        let found = match (&copy.id, &mut copy.nameless) {
            (Some(id), _) => {
                let history = known.history(id, before);
                let found = history.pass(before, bytes);
                let end = history.end();
                known.figures.reached(known.now_ms, id, end);
                found
            }
            (None, Some(nameless)) => nameless.pass(before, bytes),
            (None, None) => Ok(()),
        };
        let Err(trouble) = found else {
            return;
        };
        copy.is_sound = false;
        let (rule, at, expected, seen) = match trouble {
            Trouble::Clash { at, known, came } => (
                Rule::SameBytes,
                at,
                format!("{}, as it passed before", shown(&known)),
                shown(&came).to_string(),
            ),
            Trouble::Stray { at, came } => (
                Rule::PureStream,
                at,
                "a command as an array of bulk strings".to_owned(),
                shown(&came).to_string(),
            ),
        };
        let byte = self.from_primary + (at.since(before).max(1) - 1) as u64;
        self.blame(rule, (From::Primary, byte), Some(at), &expected, seen);
    }
}

fn is_id(text: &str) -> bool {
    text.len() == MARK_BYTES
}
