//! What a replica says: its handshake, its requests against what it was given before, and its acknowledgements against
//! what was sent.
use psync_model::offset::{NextByte, ReplOffset};
use psync_model::rulebook::Era;

use super::{Link, Stage};
use crate::watch::finding::{From, Rule, shown};
use crate::watch::known::{Given, Id, Known, ReplicaKey};
use crate::watch::requests::{self, Asked, Said};

impl Link {
    /// What the command that was just read means at this point.
    pub(super) fn understand(&mut self, known: &mut Known) {
        let said = requests::understand(&self.requests);
        match (&self.stage, said) {
            (Stage::Talking, said) => self.handshake(known, said),
            (_, Said::Acknowledged(offset)) => self.acknowledged(known, offset),
            (Stage::Asking(_), _) => self.unjudged("it says more before it is answered", known),
            _ => {
                let name = self.requests.name();
                self.is_heard = false;
                self.blame(
                    Rule::Speech,
                    self.at_replica(),
                    None,
                    "REPLCONF ACK <offset>, or a line feed",
                    format!("the command {name}"),
                );
            }
        }
    }

    fn handshake(&mut self, known: &mut Known, said: Said) {
        match said {
            Said::Hello => self.due += 1,
            Said::Announced {
                port,
                has_psync2,
                is_rdb_only,
            } => {
                self.due += 1;
                self.port = port.or(self.port);
                if has_psync2 {
                    self.era = Era::Psync2V7;
                }
                self.is_rdb_only |= is_rdb_only;
            }
            Said::SecondChannel => {
                self.unjudged(
                    "it is one of two connections of a full resynchronization (PROTOCOL §2.8)",
                    known,
                );
            }
            Said::Acknowledged(_) => {}
            Said::Asked(asked) => self.ask(known, asked),
            // An ordinary client, of which there is nothing to say.
            Said::Other => self.stage = Stage::Unjudged,
        }
    }

    fn ask(&mut self, known: &mut Known, asked: Asked) {
        if !self.has_asked {
            self.has_asked = true;
            known.figures.counts.links += 1;
        }
        if let Some(key) = self.key() {
            if let Asked::From(id, byte) = &asked {
                self.look_back(known, &key, id, *byte);
            }
            let past = known.past(&key);
            // Two at once: who is known by the younger link is not the elder any more.
            past.link = past.link.max(self.number);
        }
        self.copy = None;
        self.stage = Stage::Asking(asked);
    }

    /// What a replica asks for against what it was given.
    fn look_back(&mut self, known: &mut Known, key: &ReplicaKey, id: &Id, byte: NextByte) {
        let past = known.past(key).clone();
        let stands_at = byte.offset_before();
        if past.is_ambiguous {
            return;
        }
        match past.given {
            Some(Given::Unlabelled { streamed }) => {
                let is_that_name = past.announced.is_none_or(|name| name == *id);
                if is_that_name && (0..=streamed.0 + 1).contains(&byte.0) {
                    self.blame(
                        Rule::Unlabelled,
                        self.at_replica(),
                        None,
                        "PSYNC ? -1: its last copy came by SYNC, and no name with it",
                        format!(
                            "PSYNC {id} {}, after {} bytes of stream behind that copy",
                            byte.0, streamed.0
                        ),
                    );
                }
            }
            Some(Given::Labelled {
                id: name,
                sent,
                acknowledged,
                is_sound: true,
            }) if name == *id => {
                let is_within =
                    acknowledged.is_none_or(|least| least <= stands_at) && stands_at <= sent;
                let is_boundary = known
                    .known_history(id)
                    .and_then(|history| history.is_boundary(stands_at));
                let expected = range(&name, acknowledged, sent);
                let seen = format!("PSYNC {id} {}", byte.0);
                let rule = match is_boundary {
                    Some(false) if self.era >= Era::Psync2 => Rule::RequestedBoundary,
                    _ if stands_at > sent => Rule::AskedBeyond,
                    _ if !is_within => Rule::AskedBehind,
                    _ => return,
                };
                self.blame(rule, self.at_replica(), Some(stands_at), &expected, seen);
            }
            _ => {}
        }
    }

    fn acknowledged(&mut self, known: &mut Known, offset: Option<ReplOffset>) {
        if let Some(key) = self.key() {
            let past = known.past(&key);
            past.is_ambiguous |= past.link > self.number;
        }
        if matches!(self.stage, Stage::Gated) {
            self.stage = Stage::Streaming;
        }
        let Some(offset) = offset else { return };
        let label = self.copy.as_ref().and_then(|copy| copy.id.clone());
        match (label, &self.stage) {
            (None, _) => {}
            (Some(id), Stage::Streaming) => self.stands_at(known, &id, offset),
            (Some(_), _) => self.stands_too_early(offset),
        }
    }

    /// Before its snapshot is complete: what it had before is its own affair, what is on its way it cannot have.
    fn stands_too_early(&mut self, offset: ReplOffset) {
        let start = self.copy.as_ref().map_or(ReplOffset(0), |copy| copy.start);
        if offset < start || start <= ReplOffset(0) {
            return;
        }
        let first = start.0;
        let expected = format!("nothing from offset {first} on before the snapshot is complete");
        let seen = format!("REPLCONF ACK {}", offset.0);
        self.blame(
            Rule::Unsent,
            self.at_replica(),
            Some(offset),
            &expected,
            seen,
        );
    }

    /// On an established link it has applied so much.
    fn stands_at(&mut self, known: &mut Known, id: &Id, offset: ReplOffset) {
        let Some(copy) = &mut self.copy else { return };
        let (sent, before) = (copy.sent, copy.acknowledged);
        copy.acknowledged = Some(offset.max(before.unwrap_or(offset)));
        let is_counted = copy.is_sound && self.era >= Era::Psync2;
        let history = known.known_history(id).filter(|_| is_counted);
        let is_boundary = history
            .as_ref()
            .and_then(|history| history.is_boundary(offset));
        let (rule, expected) = match before {
            _ if offset > sent => (
                Rule::Unsent,
                format!("at most {}, the last byte sent", sent.0),
            ),
            Some(before) if offset < before => (Rule::Falling, format!("at least {}", before.0)),
            _ if is_boundary == Some(false) => {
                let expected = "an offset at which a command ends, outside of a transaction";
                (Rule::AcknowledgedBoundary, expected.to_owned())
            }
            _ => {
                if let Some(history) = history {
                    history.stands_at(offset);
                }
                return;
            }
        };
        let seen = format!("REPLCONF ACK {}", offset.0);
        self.blame(rule, self.at_replica(), Some(offset), &expected, seen);
    }

    /// Bytes that are no command.
    pub(super) fn noise(&mut self, before: u64, bytes: &[u8]) {
        self.is_heard = false;
        if self.has_asked {
            self.blame(
                Rule::Speech,
                (From::Replica, before),
                None,
                "REPLCONF ACK <offset>, or a line feed",
                shown(bytes).to_string(),
            );
        } else {
            self.stage = Stage::Unjudged;
        }
    }
}

/// What a replica may ask for.
fn range(id: &Id, acknowledged: Option<ReplOffset>, sent: ReplOffset) -> String {
    let last = sent.next_byte().0;
    match acknowledged {
        Some(acknowledged) => format!(
            "PSYNC {id} with {} to {last}, the beginning of a command",
            acknowledged.next_byte().0
        ),
        None => format!("PSYNC {id} with at most {last}, the beginning of a command"),
    }
}
