//! What a case needs of a subject: which controls must hold its states open, by the model's own account of the plan.
//!
//! What follows by itself at once needs no control. A subject that offers none is still driven through every plan in
//! which nothing has to wait.
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::cover;
use psync_model::rules::Setting;
use psync_model::step::Step;
use psync_model::token::MAX_WRITES;
use psync_model::world::{Framing, NodeId, World};

use crate::profile::{ControlName, Profile};

/// The controls a case needs that the subject does not offer; the first one is the reason to skip it.
pub fn missing(case: &Case, profile: &Profile) -> Option<ControlName> {
    let needed = needed(case, profile.snapshot);
    needed.into_iter().find(|control| !profile.offers(*control))
}

/// The controls a case needs of a subject that sends its snapshots in this way unless it is told otherwise.
/// [`ControlName::Info`] is always among them, to see anything.
pub fn needed(case: &Case, usual: Framing) -> Vec<ControlName> {
    let mut needed = vec![ControlName::Info];
    if let Ok(setting) = case.setting() {
        match case.header.casting {
            Casting::Primary => needed.extend(of_primary(case, &setting, usual)),
            Casting::Replica => needed.extend(of_replica(case)),
            Casting::Whole => needed.extend(of_all(case)),
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
fn of_all(case: &Case) -> Vec<ControlName> {
    let mut needed = vec![
        ControlName::BacklogSize,
        ControlName::DisklessSync,
        ControlName::DisklessDelay,
        ControlName::KeySaveDelay,
    ];
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
    if stays_open(case, &worlds) {
        needed.push(ControlName::KeySaveDelay);
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

/// Whether something happens while a snapshot is being made.
fn stays_open(case: &Case, worlds: &[World]) -> bool {
    let running = |world: &World| world.node(NodeId::Primary).snapshot.is_some();
    let ends = |step: &Step| matches!(step, Step::FinishSnapshot { .. });
    let mut steps = case.steps.iter().zip(worlds);
    steps.any(|(step, before)| running(before) && !ends(step))
}
