//! Castings: which node is the server under test, and what that means for each step.
//!
//! The same plan is played with different nodes under test. What the subject does by itself is *hidden*: the
//! harness sees it only by its consequences. Everything else is *driven* by the harness, which plays the other
//! node, the clients and the network; where every node is a subject, it is left with the clients and the network. Some of the subject's steps follow at once on what has reached it; a
//! plan in which something else comes first could not be carried out on a real server.

use crate::rules::Setting;
use crate::step::{Part, Step};
use crate::world::World;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Which nodes are servers under test.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Casting {
    /// The subject is the primary; the harness plays its replica.
    Primary,
    /// The subject is the replica; the harness plays its primary.
    Replica,
    /// Every node is a subject; the harness is the client of all, and the network between them.
    Whole,
}

impl Casting {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Primary, Self::Replica, Self::Whole];

    /// Those of a pair whose roles do not change.
    pub const OF_PAIR: [Self; 2] = [Self::Primary, Self::Replica];

    /// The name used in check addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Whole => "whole",
        }
    }

    /// Whether a subject takes this step by itself.
    pub fn is_hidden(self, step: Step) -> bool {
        match self {
            Self::Primary => step.part() == Part::Primary,
            Self::Replica => step.part() == Part::Replica,
            Self::Whole => step.part() != Part::Environment,
        }
    }

    /// Whether the step follows at once on what has reached the subject, before anything else can happen to it. Where the
    /// harness is the network, nothing reaches a subject before its time.
    pub fn is_prompt(self, step: Step) -> bool {
        self == Self::Primary
            && matches!(
                step,
                Step::AcceptPartial { .. }
                    | Step::DeclinePartial { .. }
                    | Step::AttachToSnapshot { .. }
                    | Step::ReceiveAcknowledgement { .. }
            )
    }

    /// Whether the step says something about the subject: it takes it, or the world does it to the subject.
    pub fn concerns_subject(self, step: Step) -> bool {
        match (self, step) {
            (Self::Primary, Step::RestartReplica { .. } | Step::StrangerLeaves { .. }) => false,
            (Self::Replica, Step::CutLink { .. } | Step::RestartReplica { .. }) => true,
            (Self::Primary, step) => self.is_hidden(step) || step.part() == Part::Environment,
            (Self::Replica, step) => self.is_hidden(step),
            (Self::Whole, step) => !matches!(step, Step::StrangerLeaves { .. }),
        }
    }

    /// Of the steps that apply to a world, those that can come next when this subject is under test: if some
    /// are prompt, only those.
    pub fn possible_next(self, world: &World, setting: &Setting, steps: &[Step]) -> Vec<Step> {
        let applies = |step: &Step| step.apply(world, setting).is_some();
        let prompt = steps
            .iter()
            .copied()
            .filter(|step| self.is_prompt(*step))
            .find(applies);
        prompt.map_or_else(
            || steps.iter().copied().filter(applies).collect(),
            |step| vec![step],
        )
    }
}

impl std::fmt::Display for Casting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
