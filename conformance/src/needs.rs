//! What a case needs of a subject: which controls must hold its states open, by the model's own account of the plan.
//!
//! What follows by itself at once needs no control. A subject that offers none is still driven through every plan in
//! which nothing has to wait.
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::cover;
use psync_model::decision::Answer;
use psync_model::rules::Setting;
use psync_model::step::Step;
use psync_model::token::MAX_WRITES;
use psync_model::world::{Framing, NodeId, PrimaryPhase, World};

use crate::profile::{ControlName, Profile};

/// The controls a case needs that the subject does not offer; the first one is the reason to skip it.
pub fn missing(case: &Case, profile: &Profile) -> Option<ControlName> {
    // What several processes do at once is held by what they can be told, or not at all.
    let is_alone = case.header.casting == Casting::Primary;
    let has = |control: &ControlName| {
        profile.offers(*control) || is_alone && profile.can_do(*control) && !queues_up(case)
    };
    let needed = needed(case, profile.snapshot);
    needed.into_iter().find(|control| !has(control))
}

/// The controls a case needs of a subject that sends its snapshots in this way unless it is told otherwise.
/// [`ControlName::Info`] is always among them, to see anything.
pub fn needed(case: &Case, usual: Framing) -> Vec<ControlName> {
    let mut needed = vec![ControlName::Info];
    if let Ok(setting) = case.setting() {
        match case.header.casting {
            Casting::Primary => needed.extend(of_primary(case, &setting, usual)),
            Casting::Replica => needed.extend(of_replica(case)),
            Casting::Whole => needed.extend(of_all(case, &setting)),
        }
    }
    needed.sort_unstable();
    needed.dedup();
    needed
}

fn of_replica(case: &Case) -> Vec<ControlName> {
    let mut needed = Vec::new();
    for step in &case.steps {
        match step {
            Step::RestartReplica { .. } => needed.push(ControlName::Restart),
            Step::Save {
                node: NodeId::Replica,
            } => needed.push(ControlName::Save),
            Step::ResizeBacklog {
                node: NodeId::Replica,
            } => needed.push(ControlName::BacklogSize),
            _ => {}
        }
    }
    needed
}

/// Where nodes change roles and wait for each other, nothing is left to chance: a subject offers all of it or is skipped.
fn of_all(case: &Case, setting: &Setting) -> Vec<ControlName> {
    let mut needed = vec![
        ControlName::BacklogSize,
        ControlName::DisklessSync,
        ControlName::DisklessDelay,
    ];
    let worlds = cover::run(setting, case.header.scope.topology, &case.steps);
    if worlds[0]
        .node_ids()
        .any(|node| stays_open(case, &worlds, node))
    {
        needed.push(ControlName::KeySaveDelay);
    }
    for step in &case.steps {
        match step {
            Step::ExpireBacklog { .. } => needed.push(ControlName::BacklogTtl),
            Step::Save { .. } => needed.push(ControlName::Save),
            step if step.is_restart() => needed.push(ControlName::Restart),
            _ => {}
        }
    }
    needed
}

fn of_primary(case: &Case, setting: &Setting, usual: Framing) -> Vec<ControlName> {
    let worlds = cover::run(setting, case.header.scope.topology, &case.steps);
    let mut needed = Vec::new();
    if outgrows(case, setting, &worlds) {
        needed.push(ControlName::BacklogSize);
    }
    for (at, step) in case.steps.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| case.steps[before]);
        match step {
            Step::RestartPrimary { .. } => needed.push(ControlName::Restart),
            Step::ExpireBacklog { .. } => needed.push(ControlName::BacklogTtl),
            Step::ResizeBacklog { .. } => needed.push(ControlName::BacklogSize),
            Step::Save {
                node: NodeId::Primary,
            } => needed.push(ControlName::Save),
            Step::FailSnapshot { .. } => needed.push(ControlName::Restart),
            Step::StartSnapshot { framing, .. } => {
                if *framing != usual {
                    needed.push(ControlName::DisklessSync);
                }
                if !matches!(before, Some(Step::DeclinePartial { .. })) {
                    needed.push(ControlName::DisklessDelay);
                }
            }
            _ => {}
        }
    }
    if waits_to_start(case, &worlds) {
        needed.push(ControlName::DisklessDelay);
    }
    if stays_open(case, &worlds, NodeId::Primary) {
        needed.push(ControlName::KeySaveDelay);
    }
    if leaves_a_file(case, &worlds) {
        needed.push(ControlName::DisklessDelay);
    }
    needed
}

/// Whether the plan writes more than the backlog holds: then its size matters.
fn outgrows(case: &Case, setting: &Setting, worlds: &[World]) -> bool {
    let roomy = Setting {
        backlog_commands: usize::from(MAX_WRITES),
        ..*setting
    };
    let others = cover::run(&roomy, case.header.scope.topology, &case.steps);
    let first = |world: &World| world.node(NodeId::Primary).backlog.map(|held| held.first);
    !worlds.iter().map(first).eq(others.iter().map(first))
}

/// Whether a replica waits for a snapshot while something else happens, or at the end.
fn waits_to_start(case: &Case, worlds: &[World]) -> bool {
    let declined = |step: &Step| matches!(step, Step::DeclinePartial { .. });
    let starts = |step: Option<&Step>| matches!(step, Some(Step::StartSnapshot { .. }));
    let running = |world: &World| world.node(NodeId::Primary).snapshot.is_some();
    let steps = case.steps.iter().enumerate();
    let mut waiting =
        steps.filter(|(at, step)| declined(step) && !worlds.get(*at).is_some_and(running));
    waiting.any(|(at, _)| at + 1 < case.steps.len() && !starts(case.steps.get(at + 1)))
}

/// Whether a replica waits for the next snapshot, or has just asked, when one ends. Whoever can be told to hold one open
/// delays the next; before Redis 6.2 it follows at once (`PROTOCOL §7.3`).
fn queues_up(case: &Case) -> bool {
    let Ok(setting) = case.setting() else {
        return false;
    };
    let worlds = cover::run(&setting, case.header.scope.topology, &case.steps);
    let ends = |step: &Step| {
        matches!(
            step,
            Step::FinishSnapshot { .. } | Step::FailSnapshot { .. }
        )
    };
    let mut steps = case.steps.iter().zip(&worlds);
    steps.any(|(step, before)| ends(step) && is_awaited(before, step.node()))
}

/// Whether a replica of a node waits for its next snapshot, or has just asked.
pub fn is_awaited(world: &World, node: NodeId) -> bool {
    world.replicas_of(node).any(|replica| {
        let link = world.link(replica);
        let phases = [Some(link.primary), link.stale.map(|stale| stale.phase)];
        link.request.is_some() || phases.contains(&Some(PrimaryPhase::Waiting))
    })
}

/// Whether the primary restarts after it declined a stranger: it finds the snapshot that it made for it, unless that was
/// held back until the stranger had gone.
fn leaves_a_file(case: &Case, worlds: &[World]) -> bool {
    let is_declined = |world: &World| {
        let stranger = world.stranger;
        stranger.is_some_and(|stranger| !matches!(stranger.answer, Answer::Continue(_)))
    };
    let restarts = |step: &Step| matches!(step, Step::RestartPrimary { .. });
    let first = worlds.iter().position(is_declined);
    first.is_some_and(|first| case.steps.iter().skip(first).any(restarts))
}

/// Whether something happens while a node makes a snapshot.
fn stays_open(case: &Case, worlds: &[World], node: NodeId) -> bool {
    let running = |world: &World| world.node(node).snapshot.is_some();
    let ends = |step: &Step| matches!(step, Step::FinishSnapshot { .. });
    let mut steps = case.steps.iter().zip(worlds);
    steps.any(|(step, before)| running(before) && !ends(step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wander::walk;
    use psync_model::rulebook::Era;

    /// In this walk a stranger is declined, and the primary restarts after it has gone.
    const DECLINES_AND_RESTARTS: u64 = 2_870_399_398;

    #[test]
    fn what_is_made_for_a_stranger_must_not_be_there_at_a_restart() {
        let case = walk(Era::Psync, Casting::Primary, false, DECLINES_AND_RESTARTS);
        let mut profile = Profile::load("redis-2.8").unwrap();
        assert_eq!(missing(&case, &profile), None);
        profile.controls.remove(&ControlName::StopSnapshot);
        assert_eq!(missing(&case, &profile), Some(ControlName::DisklessDelay));
    }
}
