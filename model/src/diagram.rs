//! A plan as a sequence diagram: the primary on the left, its replica on the right, time downwards.
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
    side: Side,
}

/// The column beside the diagram: the state after a step.
#[derive(Clone, Debug)]
struct Side {
    primary: String,
    replica: String,
    window: String,
}

fn rows(story: &[Moment]) -> Vec<Row> {
    story
        .iter()
        .map(|moment| Row {
            step: moment.step,
            note: note(moment),
            side: side(&moment.after),
        })
        .collect()
}

/// A few words for steps that neither send nor receive, or do more than that.
fn note(moment: &Moment) -> Option<String> {
    let words = match moment.step {
        Step::Write { .. } => "a client writes",
        Step::Ping { .. } => "it is time for a PING",
        Step::CutLink { .. } => "the connection is cut",
        Step::Save { .. } => "data are saved",
        Step::RestartPrimary { .. } | Step::RestartReplica { .. } => "dies, starts again",
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

/// On which side the note stands; `None` is between the two.
fn side_of(step: Step) -> Option<NodeId> {
    match step {
        Step::Write { node }
        | Step::Save { node }
        | Step::RestartPrimary { node }
        | Step::ExpireBacklog { node }
        | Step::StrangerAsks { node, .. }
        | Step::StrangerLeaves { node }
        | Step::RestartReplica { replica: node } => Some(node),
        _ => match step.actor() {
            Actor::Node(node) => Some(node),
            Actor::Environment => None,
        },
    }
}

fn side(world: &World) -> Side {
    let (primary, replica) = (world.node(NodeId::Primary), world.node(NodeId::Replica));
    let window = primary.backlog.map(|backlog| {
        let end = i64::from(backlog.first.0) + backlog.tokens.units();
        format!("[{}, {end})", backlog.first.0)
    });
    Side {
        primary: words::label(primary.label()),
        replica: replica
            .following
            .map_or_else(|| "-".to_owned(), words::label),
        window: window.unwrap_or_else(|| "-".to_owned()),
    }
}

/// Both kinds of drawing need the rows and the messages.
fn drawn(story: &[Moment], setting: &Setting) -> (Vec<Row>, Vec<Message>) {
    (rows(story), messages(story, setting))
}

#[cfg(test)]
#[path = "diagram_tests.rs"]
mod tests;
