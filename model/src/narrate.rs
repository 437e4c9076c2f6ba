//! A plan told to people: each step as one sentence, and the fields it changed.
//!
//! Engines work on canonical worlds, whose names and offsets are renumbered after every step. A story is told
//! in plain worlds, where `R1` stays `R1`: [`moments`] runs the plan again in those. Offsets are units of the
//! model, two to a command.

pub mod fields;
pub mod words;

use crate::decision::Refusal;
use crate::rules::Setting;
use crate::rules::environment::wanted_by_stranger;
use crate::step::Step;
use crate::token::{MAX_TOKENS, MAX_WRITES};
use crate::world::{Node, NodeId, PrimaryPhase, Request, Wire, World};
use thiserror::Error;

/// One step of a plan, with the worlds on both sides.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// What happens.
    pub step: Step,
    /// The world before.
    pub before: World,
    /// The world after.
    pub after: World,
}

/// A plan with a step that does not apply where it stands.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("step {number} of the plan, {step}, does not apply there")]
pub struct DoesNotApply {
    /// Its number, from one.
    pub number: usize,
    /// The step.
    pub step: Step,
}

/// Runs a plan that was found in some scope in plain worlds, from the fresh pair.
pub fn moments(steps: &[Step], setting: &Setting) -> Result<Vec<Moment>, DoesNotApply> {
    let mut world = World::pair();
    let mut story = Vec::with_capacity(steps.len());
    for (index, &step) in steps.iter().enumerate() {
        let before = roomy(&world);
        let number = index + 1;
        let after = step
            .apply(&before, setting)
            .ok_or(DoesNotApply { number, step })?;
        story.push(Moment {
            step,
            before,
            after,
        });
        world = after;
    }
    Ok(story)
}

/// The same world; renumbered when a plan is so long that one more command might not fit.
fn roomy(world: &World) -> World {
    let last_write = world.writes_in_use().writes().last().unwrap_or(0);
    let longest = world
        .histories
        .iter()
        .map(|history| history.tokens.len())
        .max();
    if last_write < MAX_WRITES && longest.unwrap_or(0) + 1 < MAX_TOKENS {
        *world
    } else {
        world.canonical()
    }
}

impl Moment {
    /// What happens, in one sentence without its full stop.
    pub fn sentence(&self, setting: &Setting) -> String {
        match self.step {
            Step::Write { node } => self.write(node),
            Step::Ping { node } => format!("the {} sends a PING", node.name()),
            Step::CutLink { .. } => {
                "the network loses the connection, and neither end knows".into()
            }
            Step::Save { node } => self.save(node),
            Step::RestartPrimary { node } => self.restart_primary(node),
            Step::RestartReplica { replica } => self.restart_replica(replica),
            Step::ExpireBacklog { node } => self.expire_backlog(node),
            Step::StrangerAsks { node, question } => {
                let wanted = wanted_by_stranger(&self.before, node, question);
                self.stranger_asks(setting, Request { wanted })
            }
            Step::StrangerLeaves { .. } => "the stranger goes away".into(),
            _ => self.of_nodes(setting),
        }
    }

    fn of_nodes(&self, setting: &Setting) -> String {
        match self.step {
            Step::AcceptPartial { replica, via } => {
                let stream = words::stream(&self.after.link(replica).stream);
                let name = words::via(via);
                format!(
                    "the primary agrees to continue {name}, and sends what is missing: {stream}"
                )
            }
            Step::DeclinePartial { refusal, .. } => self.decline(refusal),
            Step::StartSnapshot { node, framing } => {
                let label = words::label_or_none(self.after.node(node).snapshot.map(|s| s.label));
                let (data, how) = (
                    words::data(self.after.node(node).data),
                    words::framing(framing),
                );
                format!(
                    "the primary cuts a snapshot of {data}, labels it {label} and queues commands from here on ({how})"
                )
            }
            Step::AttachToSnapshot { .. } => {
                "the primary lets the new connection join the snapshot that is being made".into()
            }
            Step::FinishSnapshot { .. } => self.finish_snapshot(),
            Step::FailSnapshot { .. } => {
                "the snapshot cannot be made, and the primary disconnects whoever waited for it"
                    .into()
            }
            Step::PrimaryNoticesLoss { .. } => {
                "the primary notices that the connection is lost, and forgets it".into()
            }
            Step::PrimaryNoticesStale { .. } => {
                "the primary notices that the older connection is lost, and forgets it".into()
            }
            _ => self.of_the_replica(setting),
        }
    }

    fn of_the_replica(&self, setting: &Setting) -> String {
        let replica = NodeId::Replica;
        let (link, own) = (self.before.link(replica), self.after.node(replica));
        let place = words::label_or_none(own.following);
        match self.step {
            Step::Ask { .. } => {
                let request = self.after.link(replica).request;
                let words = request.map(|request| words::request(setting, request));
                format!("the replica connects and asks: {}", or_none(words))
            }
            Step::ReceiveContinue { .. } | Step::ReceiveFullResync { .. } => {
                let reply = or_none(link.reply.map(words::reply));
                format!("the replica reads {reply}, and has {place}")
            }
            Step::ReceiveSnapshot { .. } => {
                let data = words::data(own.data);
                format!("the replica loads the snapshot: its data are {data}, its label is {place}")
            }
            Step::ReadHead { .. } => {
                let half = or_none(own.half.map(words::token));
                format!("the replica reads the head of {half}, and not yet its tail")
            }
            Step::Apply { .. } => {
                let token = or_none(link.stream.tokens.first().map(words::token));
                let data = words::data(own.data);
                format!("the replica applies {token}: its data are {data}, its label is {place}")
            }
            Step::ReceiveAcknowledgement { .. } => {
                let offset = or_none(link.acknowledgement.map(|offset| offset.0.to_string()));
                format!("the primary hears that the replica has come to {offset}")
            }
            Step::Acknowledge { .. } => format!("the replica acknowledges {place}"),
            _ => format!("the replica notices that the connection is lost, and keeps {place}"),
        }
    }

    fn write(&self, node: NodeId) -> String {
        let (before, after) = (self.before.node(node), self.after.node(node));
        let write = after.data.writes().find(|&w| !before.data.contains(w));
        let write = or_none(write.map(|number| format!("w{number}")));
        if before.offset == after.offset {
            format!("a client writes {write}, which nothing counts: there is no backlog")
        } else {
            let offset = words::label(after.label());
            format!(
                "a client writes {write}, and the {} is at {offset}",
                node.name()
            )
        }
    }

    fn save(&self, node: NodeId) -> String {
        let saved = self.after.node(node).saved;
        let data = or_none(saved.map(|saved| words::data(saved.data)));
        let label = words::label_or_none(saved.and_then(|saved| saved.label));
        format!(
            "an operator saves the {}'s data {data} with {label}",
            node.name()
        )
    }

    fn restart_primary(&self, node: NodeId) -> String {
        let own = self.after.node(node);
        let past = match (own.secondary, own.id.number()) {
            (Some(former), _) => {
                let (id, before) = (words::id(own.id), words::id(former.id));
                format!(
                    "as {id}, with {before} as its secondary ID up to byte {}",
                    former.limit.0
                )
            }
            (None, Some(_)) => format!("still as {}", words::label(own.label())),
            (None, None) => "under a name nobody knows".to_owned(),
        };
        format!(
            "the primary dies and starts again with {}, {past}",
            words::data(own.data)
        )
    }

    fn restart_replica(&self, replica: NodeId) -> String {
        let own = self.after.node(replica);
        let (data, label) = (words::data(own.data), words::label_or_none(own.following));
        format!("the replica dies and starts again with {data} and {label}")
    }

    fn expire_backlog(&self, node: NodeId) -> String {
        let forgets = self.before.node(node).id != self.after.node(node).id;
        let name = if forgets {
            ", and with it its name"
        } else {
            ", and keeps its name"
        };
        format!("no replica has come for long enough: the primary frees its backlog{name}")
    }

    fn stranger_asks(&self, setting: &Setting, request: Request) -> String {
        let request = words::request(setting, request);
        let answer = self
            .after
            .stranger
            .map(|stranger| words::answer(stranger.answer));
        format!(
            "a stranger asks the primary: {request}; {}",
            or_none(answer)
        )
    }

    fn decline(&self, refusal: Refusal) -> String {
        let primary = self.before.node(NodeId::Primary);
        let detail = detail(primary, refusal);
        format!("the primary declines: {}{detail}", words::refusal(refusal))
    }

    fn finish_snapshot(&self) -> String {
        let link = self.after.link(NodeId::Replica);
        let then = match (link.payload, link.primary) {
            (None, _) => "but nobody is there to take it",
            (Some(_), PrimaryPhase::Held) => {
                "and is sent; the stream waits for the first acknowledgement"
            }
            (Some(_), _) => "and is sent, with the stream behind it",
        };
        format!("the snapshot is complete {then}")
    }

    /// Whether the step loses what was on its way.
    pub fn loses_the_pipe(&self) -> bool {
        let (before, after) = (
            self.before.link(NodeId::Replica),
            self.after.link(NodeId::Replica),
        );
        before.wire == Wire::Whole && after.wire != Wire::Whole
    }
}

fn or_none(words: Option<String>) -> String {
    words.unwrap_or_else(|| "nothing".to_owned())
}

/// The number that decided, where there is one.
fn detail(primary: &Node, refusal: Refusal) -> String {
    match (refusal, primary.backlog, primary.secondary) {
        (Refusal::TooOld, Some(backlog), _) => format!(" (first {})", backlog.first.0),
        (Refusal::TooNew, Some(_), _) => format!(" (offset {})", primary.offset.0),
        (Refusal::BeyondSecondary, _, Some(former)) => format!(" ({})", former.limit.0),
        _ => String::new(),
    }
}

#[cfg(test)]
#[path = "narrate_tests.rs"]
mod tests;
