//! A plan as a sequence diagram: the nodes side by side, the primary on the left, time downwards.
//!
//! A rule sends in one step and another rule receives in a later one. [`messages`] finds for everything that
//! travels where it was sent and what became of it; [`text`] and [`svg`] draw it. Offsets are units of the model.

mod messages;
mod svg;
mod text;

use crate::decision::Answer;
use crate::narrate::{Moment, words};
use crate::rules::Setting;
use crate::step::{Actor, Step};
use crate::world::{NodeId, World};

pub use messages::{Fate, Message, messages};
pub use svg::svg;
pub use text::text;

/// One row: a step, what it did to messages, and where everybody is afterwards.
#[derive(Clone, Debug)]
struct Row {
    step: Step,
    /// What to write where no message says it.
    note: Option<String>,
    /// Where to write it.
    place: Place,
    side: Side,
}

/// Where a note stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At a node's line.
    At(NodeId),
    /// Across a link.
    Between(NodeId, NodeId),
}

/// The column beside the diagram: the state after a step.
#[derive(Clone, Debug)]
struct Side {
    /// The label of each node.
    labels: Vec<String>,
    /// The backlogs of the primaries.
    windows: String,
}

fn rows(story: &[Moment]) -> Vec<Row> {
    story
        .iter()
        .map(|moment| Row {
            step: moment.step,
            note: note(moment),
            place: place(moment),
            side: side(&moment.after),
        })
        .collect()
}

/// A few words for steps that neither send nor receive, or do more than that.
fn note(moment: &Moment) -> Option<String> {
    let words = match moment.step {
        Step::Write { .. } => "a client writes",
        Step::WriteElsewhere { .. } => "a client writes to the other database",
        Step::Transact { .. } => "a client's transaction",
        Step::FollowInTransaction { parent, .. } => {
            let parent = parent.name();
            return Some(format!("in a transaction, is told to follow the {parent}"));
        }
        Step::Ping { .. } => "it is time for a PING",
        Step::Promote { .. } => "is promoted",
        Step::Follow { parent, .. } => {
            return Some(format!("is told to follow the {}", parent.name()));
        }
        Step::ResizeBacklog { .. } => "the backlog is resized",
        Step::AnswerWithError { .. } => "an error gets in the way",
        Step::RefuseForNow { .. } => "not connected to its own primary",
        Step::FailLoad { .. } => "the snapshot is broken, the data are gone",
        Step::CutLink { .. } => "the connection is cut",
        Step::Save { .. } => "data are saved",
        Step::RestartPrimary { .. } | Step::RestartReplica { .. } => "dies, starts again",
        Step::RestartAsPrimary { .. } => "dies, starts again as a primary",
        Step::RestartAsReplica { .. } => "dies, starts again as a replica",
        Step::ExpireBacklog { .. } => "the backlog is freed",
        Step::StrangerAsks { .. } => match moment.after.stranger.map(|stranger| stranger.answer) {
            Some(Answer::Continue(_)) => "a stranger asks, and is continued",
            _ => "a stranger asks, and is declined",
        },
        Step::StrangerLeaves { .. } => "the stranger goes away",
        Step::DeclinePartial { refusal, .. } => words::refusal(refusal),
        Step::StartSnapshot { .. } => "a snapshot is cut",
        Step::AttachToSnapshot { .. } => "joins the running snapshot",
        Step::FinishSnapshot { .. } => "the snapshot is complete",
        Step::FailSnapshot { .. } => "the snapshot fails",
        Step::PrimaryNoticesLoss { .. } | Step::ReplicaNoticesLoss { .. } => "notices the loss",
        Step::PrimaryNoticesStale { .. } => "notices the older loss",
        Step::ReadHead { .. } => "reads half a command",
        _ => return None,
    };
    Some(words.to_owned())
}

/// Where the note of a step stands.
fn place(moment: &Moment) -> Place {
    let (step, world) = (moment.step, &moment.before);
    match (step, step.actor(world)) {
        (_, Actor::Node(node)) => Place::At(node),
        (Step::CutLink { replica } | Step::AnswerWithError { replica, .. }, _) => {
            let parent = world.parent(replica).unwrap_or(replica);
            Place::Between(parent, replica)
        }
        _ => Place::At(step.node()),
    }
}

fn side(world: &World) -> Side {
    let label = |node: NodeId| {
        let own = world.node(node);
        let label = if world.is_primary(node) {
            Some(own.label())
        } else {
            own.following
        };
        label.map_or_else(|| "-".to_owned(), words::label)
    };
    let windows: Vec<String> = world
        .node_ids()
        .filter(|&node| world.is_primary(node))
        .filter_map(|node| {
            let backlog = world.node(node).backlog?;
            let end = i64::from(backlog.first.0) + backlog.tokens.units();
            Some(format!("[{}, {end})", backlog.first.0))
        })
        .collect();
    Side {
        labels: world.node_ids().map(label).collect(),
        windows: if windows.is_empty() {
            "-".to_owned()
        } else {
            windows.join(" ")
        },
    }
}

/// Both kinds of drawing need the rows and the messages.
fn drawn(story: &[Moment], setting: &Setting) -> (Vec<Row>, Vec<Message>) {
    (rows(story), messages(story, setting))
}

#[cfg(test)]
#[path = "diagram_tests.rs"]
mod tests;
