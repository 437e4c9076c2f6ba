//! A plan told to people: each step as one sentence, and the fields it changed.
//!
//! Engines work on canonical worlds, whose names and offsets are renumbered after every step. A story is told
//! in plain worlds, where `R1` stays `R1`: [`moments`] runs the plan again in those. Offsets are units of the
//! model, two to a command.

pub mod fields;
pub mod words;

use crate::decision::Refusal;
use crate::rules::Setting;
use crate::rules::stranger::wanted_by_stranger;
use crate::step::{Actor, Part, Step};
use crate::token::{MAX_TOKENS, MAX_WRITES};
use crate::world::{Node, NodeId, PrimaryPhase, Request, Topology, Wire, World};
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

/// Runs a plan that was found in some scope in plain worlds, from the fresh nodes of its topology.
pub fn moments(
    steps: &[Step],
    setting: &Setting,
    topology: Topology,
) -> Result<Vec<Moment>, DoesNotApply> {
    let mut world = topology.beginning();
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

/// Whether a world can hold one more command, whatever comes next.
pub fn has_room(world: &World) -> bool {
    let last_write = world.writes_in_use().newest();
    let longest = world
        .named_histories()
        .iter()
        .map(|history| history.tokens.len())
        .max();
    last_write < MAX_WRITES && longest.unwrap_or(0) + 1 < MAX_TOKENS
}

/// The same world; renumbered when a plan is so long that one more command might not fit.
pub fn roomy(world: &World) -> World {
    if has_room(world) {
        *world
    } else {
        world.canonical()
    }
}

impl Moment {
    /// What happens, in one sentence without its full stop.
    pub fn sentence(&self, setting: &Setting) -> String {
        match self.step {
            Step::Write { node } => self.write(node, ""),
            Step::WriteElsewhere { node } => self.write(node, " in the other database"),
            Step::Transact { node } => self.write(node, " by a transaction"),
            Step::Save { node } => self.save(node),
            Step::RestartPrimary { node } | Step::RestartAsPrimary { node } => {
                self.restart_primary(node)
            }
            Step::RestartReplica { replica: node } | Step::RestartAsReplica { node, .. } => {
                self.restart_replica(node)
            }
            Step::Promote { node } => self.promote(node),
            Step::Follow { node, parent } => self.follow(node, parent),
            Step::FollowInTransaction { node, parent } => format!(
                "a client's transaction at the {} writes and ends with REPLICAOF; then {}",
                node.name(),
                self.follow(node, parent)
            ),
            Step::ExpireBacklog { node } => self.expire_backlog(node),
            Step::StrangerAsks { node, question } => {
                let wanted = wanted_by_stranger(&self.before, node, question);
                self.stranger_asks(setting, node, Request { wanted })
            }
            _ => match self.step.part() {
                Part::Environment => self.of_the_environment(),
                Part::Primary => self.of_a_primary(),
                Part::Replica => self.of_a_replica(setting),
            },
        }
    }

    fn of_the_environment(&self) -> String {
        match self.step {
            Step::CutLink { .. } => {
                "the network loses the connection, and neither end knows".into()
            }
            Step::ResizeBacklog { node } => format!(
                "the backlog of the {} is resized, which discards its content",
                node.name()
            ),
            Step::AnswerWithError { replica, .. } => {
                let reply = self.after.link(replica).reply.map(words::reply);
                format!(
                    "something gets in the way of the request of the {}: the answer is {}",
                    replica.name(),
                    or_none(reply)
                )
            }
            _ => "the stranger goes away".into(),
        }
    }

    /// The node that acts for its replica, by name.
    fn primary(&self) -> &'static str {
        match self.step.actor(&self.before) {
            Actor::Node(node) => node.name(),
            Actor::Environment => "primary",
        }
    }

    fn of_a_primary(&self) -> String {
        let (who, link) = (self.primary(), self.after.link(self.step.node()));
        match self.step {
            Step::Ping { .. } => format!("the {who} sends a PING"),
            Step::AcceptPartial { via, .. } => {
                let (stream, name) = (words::stream(&link.stream), words::via(via));
                format!("the {who} agrees to continue {name}, and sends what is missing: {stream}")
            }
            Step::DeclinePartial { replica, refusal } => self.decline(replica, refusal),
            Step::RefuseForNow { .. } => {
                format!("the {who} is not connected to its own primary, and refuses for now")
            }
            Step::StartSnapshot { node, framing } => {
                let own = self.after.node(node);
                let label = words::label_or_none(own.snapshot.map(|snapshot| snapshot.label));
                let (data, how) = (words::data(own.data), words::framing(framing));
                format!(
                    "the {who} cuts a snapshot of {data}, labels it {label} and queues commands from here on ({how})"
                )
            }
            Step::AttachToSnapshot { .. } => {
                format!("the {who} lets the new connection join the snapshot that is being made")
            }
            Step::FinishSnapshot { node } => self.finish_snapshot(node),
            Step::FailSnapshot { .. } => format!(
                "the snapshot cannot be made, and the {who} disconnects whoever waited for it"
            ),
            Step::ReceiveAcknowledgement { replica } => {
                let offset = self.before.link(replica).acknowledgement;
                let offset = or_none(offset.map(|offset| offset.0.to_string()));
                format!(
                    "the {who} hears that the {} has come to {offset}",
                    replica.name()
                )
            }
            Step::PrimaryNoticesStale { .. } => {
                format!("the {who} notices that the older connection is lost, and forgets it")
            }
            _ => format!("the {who} notices that the connection is lost, and forgets it"),
        }
    }

    fn of_a_replica(&self, setting: &Setting) -> String {
        let replica = self.step.node();
        let who = replica.name();
        let (link, own) = (self.before.link(replica), self.after.node(replica));
        let (data, place) = (words::data(own.data), words::label_or_none(own.following));
        match self.step {
            Step::Ask { .. } => {
                let request = self.after.link(replica).request;
                let words = request.map(|request| words::request(setting, request));
                format!("the {who} connects and asks: {}", or_none(words))
            }
            Step::ReceiveContinue { .. } | Step::ReceiveFullResync { .. } => {
                let reply = or_none(link.reply.map(words::reply));
                format!("the {who} reads {reply}, and has {place}")
            }
            Step::ReceiveError { .. } => {
                let reply = or_none(link.reply.map(words::reply));
                let then = if self.after.link(replica).request.is_some() {
                    "and asks with SYNC instead"
                } else {
                    "and closes the connection"
                };
                format!("the {who} reads {reply}, has {place}, {then}")
            }
            Step::ReceiveSnapshot { .. } => {
                format!("the {who} loads the snapshot: its data are {data}, its label is {place}")
            }
            Step::FailLoad { .. } => format!(
                "the {who} has dropped its data when the snapshot turns out to be broken: it is left with nothing"
            ),
            Step::ReadHead { .. } => {
                let half = or_none(own.begun.half.map(words::token));
                format!("the {who} reads the head of {half}, and not yet its tail")
            }
            Step::Apply { .. } => {
                let token = or_none(link.stream.tokens.first().map(words::token));
                format!("the {who} applies {token}: its data are {data}, its label is {place}")
            }
            Step::Acknowledge { .. } => format!("the {who} acknowledges {place}"),
            _ => format!("the {who} notices that the connection is lost, and keeps {place}"),
        }
    }

    fn write(&self, node: NodeId, how: &str) -> String {
        let (before, after) = (self.before.node(node), self.after.node(node));
        let write = after.data.writes().find(|&w| !before.data.contains(w));
        let write = or_none(write.map(|number| format!("w{number}")));
        if before.offset == after.offset {
            format!("a client writes {write}{how}, which nothing counts: there is no backlog")
        } else {
            let offset = words::label(after.label());
            format!(
                "a client writes {write}{how}, and the {} is at {offset}",
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
        let role = if self.before.is_primary(node) {
            ""
        } else {
            " as a primary"
        };
        let (who, data) = (node.name(), words::data(self.after.node(node).data));
        let name = self.goes_on_as(node);
        format!("the {who} dies and starts again{role} with {data}, {name}")
    }

    /// Under which name a node that produces a history goes on.
    fn goes_on_as(&self, node: NodeId) -> String {
        let own = self.after.node(node);
        match (own.id.number(), own.secondary) {
            (Some(_), Some(former)) => {
                let (id, before) = (words::id(own.id), words::id(former.id));
                format!(
                    "as {id}, with {before} as its secondary ID up to byte {}",
                    former.limit.0
                )
            }
            (Some(_), None) => format!("still as {}", words::label(own.label())),
            (None, _) => "under a name nobody knows".to_owned(),
        }
    }

    fn restart_replica(&self, replica: NodeId) -> String {
        let role = if self.before.is_primary(replica) {
            " as a replica"
        } else {
            ""
        };
        let own = self.after.node(replica);
        let (data, label) = (words::data(own.data), words::label_or_none(own.following));
        format!(
            "the {} dies and starts again{role} with {data} and {label}",
            replica.name()
        )
    }

    fn promote(&self, node: NodeId) -> String {
        let (who, name) = (node.name(), self.goes_on_as(node));
        format!("the {who} is promoted: it is a primary now, {name}")
    }

    fn follow(&self, node: NodeId, parent: NodeId) -> String {
        let label = words::label_or_none(self.after.node(node).following);
        format!(
            "the {} is told to follow the {}, and has {label}",
            node.name(),
            parent.name()
        )
    }

    fn expire_backlog(&self, node: NodeId) -> String {
        let forgets = self.before.node(node).id != self.after.node(node).id;
        let name = if forgets {
            ", and with it its name"
        } else {
            ", and keeps its name"
        };
        let who = node.name();
        format!("no replica has come for long enough: the {who} frees its backlog{name}")
    }

    fn stranger_asks(&self, setting: &Setting, node: NodeId, request: Request) -> String {
        let request = words::request(setting, request);
        let answer = self
            .after
            .stranger
            .map(|stranger| words::answer(stranger.answer));
        format!(
            "a stranger asks the {}: {request}; {}",
            node.name(),
            or_none(answer)
        )
    }

    fn decline(&self, replica: NodeId, refusal: Refusal) -> String {
        let parent = self.before.parent(replica);
        let detail = parent.map_or_else(String::new, |parent| {
            detail(self.before.node(parent), refusal)
        });
        let who = self.primary();
        format!("the {who} declines: {}{detail}", words::refusal(refusal))
    }

    fn finish_snapshot(&self, node: NodeId) -> String {
        let mut links = self
            .after
            .replicas_of(node)
            .map(|replica| self.after.link(replica));
        let then = match links.find(|link| link.payload.is_some()) {
            None => "but nobody is there to take it",
            Some(link) if link.primary == PrimaryPhase::Held => {
                "and is sent; the stream waits for the first acknowledgement"
            }
            Some(_) => "and is sent, with the stream behind it",
        };
        format!("the snapshot is complete {then}")
    }

    /// Whether the step loses what was on its way on a replica's link.
    pub fn loses_the_pipe(&self, replica: NodeId) -> bool {
        let (before, after) = (self.before.link(replica), self.after.link(replica));
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
