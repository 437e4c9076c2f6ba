//! All links, and what is said about them. Time and bytes come in, findings and notes go out; the same input gives the
//! same output, so what was logged can be judged again.
use std::collections::BTreeMap;

use super::figures::Figures;
use super::finding::{Finding, From, Place, Wrong};
use super::known::Known;
use super::link::{Link, Outcome};

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Something that the protocol does not allow.
    Finding(Finding),
    /// Something worth a line.
    Note {
        /// Milliseconds since the watch began.
        at_ms: u64,
        /// The link.
        link: u64,
        /// The replica on it.
        replica: String,
        /// What happened.
        text: String,
        /// Whether it says what is not judged.
        is_limit: bool,
    },
}

/// What came of some bytes.
#[derive(Debug, Default)]
pub struct Passed {
    /// What there is to say about them.
    pub said: Vec<Said>,
    /// Whether all of them are the inside of a snapshot: nothing of them was looked at but whether it ends.
    pub is_inside_snapshot: bool,
}

/// What the links are like now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Links that are open and on which somebody asked to replicate.
    pub links: usize,
    /// The most bytes of the stream that a replica was sent and has not acknowledged.
    pub lag_bytes: Option<i64>,
}

/// Judges what passes between replicas and one primary.
#[derive(Debug)]
pub struct Judge {
    known: Known,
    links: BTreeMap<u64, Link>,
}

impl Judge {
    /// Knows nothing yet, and will remember so many bytes of the streams.
    pub fn new(memory_bytes: usize) -> Self {
        Self {
            known: Known::new(memory_bytes),
            links: BTreeMap::new(),
        }
    }

    /// Somebody connected; `link` is a number that no other link has had.
    pub fn opened(&mut self, at_ms: u64, link: u64, host: &str) {
        self.known.now_ms = at_ms;
        self.links.insert(link, Link::new(link, host.to_owned()));
    }

    /// Bytes are about to be passed on.
    pub fn passed(&mut self, at_ms: u64, link: u64, from: From, bytes: &[u8]) -> Passed {
        self.known.now_ms = at_ms;
        let Some(judged) = self.links.get_mut(&link) else {
            return Passed::default();
        };
        let was_inside = judged.is_inside_snapshot();
        let outcomes = match from {
            From::Replica => judged.hear_replica(&mut self.known, bytes),
            From::Primary => judged.hear_primary(&mut self.known, bytes),
        };
        let is_inside_snapshot = from == From::Primary && was_inside && judged.is_inside_snapshot();
        let (replica, counts) = (judged.replica(), &mut self.known.figures.counts);
        let said = outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Note { text, is_limit } => Said::Note {
                at_ms,
                link,
                replica: replica.clone(),
                text,
                is_limit,
            },
            Outcome::Wrong(wrong) => {
                if wrong.rule.is_proof() {
                    counts.violations += 1;
                } else {
                    counts.doubts += 1;
                }
                Said::Finding(finding(at_ms, link, &replica, wrong))
            }
        });
        Passed {
            said: said.collect(),
            is_inside_snapshot,
        }
    }

    /// A connection has ended.
    pub fn closed(&mut self, at_ms: u64, link: u64) {
        self.known.now_ms = at_ms;
        if let Some(mut link) = self.links.remove(&link) {
            link.end(&mut self.known);
        }
    }

    /// What was measured.
    pub fn figures(&self) -> &Figures {
        &self.known.figures
    }

    /// How many bytes of what passed are remembered now, ends of commands not counted.
    pub fn held_bytes(&self) -> usize {
        let links: usize = self.links.values().map(Link::held_bytes).sum();
        self.known.held_bytes() + links
    }

    /// What the links are like now.
    pub fn now(&self) -> Now {
        let links = self.links.values().filter(|link| link.is_replication());
        Now {
            links: links.count(),
            lag_bytes: self.links.values().filter_map(Link::lag).max(),
        }
    }
}

fn finding(at_ms: u64, link: u64, replica: &str, wrong: Wrong) -> Finding {
    Finding {
        at_ms,
        rule: wrong.rule,
        place: Place {
            link,
            replica: replica.to_owned(),
            from: wrong.from,
            byte: wrong.before + 1,
            offset: wrong.offset.map(|offset| offset.0),
        },
        expected: wrong.expected,
        seen: wrong.seen,
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
