//! Why a rule or a branch cannot fire in a right server, in this era and scope.
//!
//! A branch that never fires is a warning: what is never reached is proved vacuously. What no scope reaches is
//! listed in [`psync_model::never::NEVER`]; here stands what a scope that leaves something out adds to it. The
//! tests hold both against the graphs, in both directions.

use psync_model::decision::{Refusal, Via};
use psync_model::never::NEVER;
use psync_model::rulebook::{Era, Identity};
use psync_model::scope::Scope;
use psync_model::step::Step;
use psync_model::world::{Question, Topology};

/// Why this step never fires, if that is known.
pub(crate) fn reason(step: Step, era: Era, scope: &Scope) -> Option<&'static str> {
    let name = step.to_string();
    NEVER
        .iter()
        .find(|never| never.step == name && never.eras.contains(&era))
        .map(|never| never.because)
        .or_else(|| left_out(step, era, scope))
}

/// What this scope leaves out that the step would need.
fn left_out(step: Step, era: Era, scope: &Scope) -> Option<&'static str> {
    let run_ids = era.rulebook().identity == Identity::RunId;
    let alone = scope.topology == Topology::Pair && !scope.roles;
    match step {
        Step::AttachToSnapshot { .. } | Step::PrimaryNoticesStale { .. }
            if !scope.stale && scope.topology != Topology::Fan =>
        {
            Some("this scope has no second connection to one primary")
        }
        Step::RefuseForNow { .. } if alone => Some("this scope has no replica of a replica"),
        Step::ReceiveError { .. } if alone && !scope.errors => Some("this scope has no errors"),
        Step::ReceiveAcknowledgement { .. } if !scope.acknowledgements => {
            Some("this scope has no acknowledgements")
        }
        Step::DeclinePartial { refusal, .. } => match refusal {
            Refusal::NoBacklog if run_ids && !scope.expiry => {
                Some("a backlog goes when it expires, and this scope has no expiry")
            }
            Refusal::UnknownId if !(run_ids || scope.restarts || scope.roles || scope.expiry) => {
                Some("a history keeps its name as long as nothing restarts, expires or is promoted")
            }
            Refusal::UnknownId if run_ids && !scope.restarts => {
                Some("a run ID changes at a restart, and this scope has none")
            }
            Refusal::TooOld if is_too_short(era, scope) => Some(
                "who may be promoted keeps a backlog of its own; with it, two more writes and a SELECT nothing fits in the lag",
            ),
            Refusal::TooNew if !scope.roles => Some(
                "a replica never asks for what was not produced under the name it has, as long as roles stay",
            ),
            Refusal::BeyondSecondary => without_secondary(era, scope),
            _ => None,
        },
        Step::AcceptPartial {
            via: Via::Secondary,
            ..
        }
        | Step::StrangerAsks {
            question: Question::SecondaryLimit | Question::SecondaryBeyond,
            ..
        } => without_secondary(era, scope),
        Step::StrangerAsks {
            question: Question::SecondaryFirst,
            ..
        } if !scope.roles => {
            Some("only the backlog of a promoted replica reaches back before the limit")
        }
        _ => None,
    }
}

/// Whether a replica cannot fall behind a backlog before its own backlog leads out of the scope.
fn is_too_short(era: Era, scope: &Scope) -> bool {
    let replicas_have_backlogs = era.rulebook().names_histories() && scope.roles;
    replicas_have_backlogs && scope.databases && scope.lag_commands < scope.backlog_commands + 2
}

fn without_secondary(era: Era, scope: &Scope) -> Option<&'static str> {
    let restarts = scope.restarts && era == Era::Psync2V7;
    (!scope.roles && !restarts).then_some(
        "a secondary ID comes with a promotion or, from 7.0 on, a restart, and this scope has none",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use psync_model::scope;
    use psync_model::search::Search;
    use psync_model::walk::{Limits, walk};
    use std::collections::BTreeMap;

    fn unexplained(era: Era, scope_name: &str) -> Vec<String> {
        let scope = scope::named(scope_name).unwrap().scope;
        let search = Search::new(era.rulebook(), scope);
        let mut counts: BTreeMap<String, (u64, Step)> = BTreeMap::new();
        for (step, fired) in walk(&search, Limits::PROVE, |_| true).fired {
            counts.entry(step.to_string()).or_insert((0, step)).0 += fired;
        }
        counts
            .into_iter()
            .filter(|(_, (fired, step))| (*fired == 0) != reason(*step, era, &scope).is_some())
            .map(|(name, (fired, _))| format!("{era} {scope_name} {name}: {fired}"))
            .collect()
    }

    #[test]
    fn what_never_fires_has_a_reason_and_what_fires_has_none() {
        for era in Era::ALL {
            for scope in ["smoke", "restarts", "transactions"] {
                assert_eq!(unexplained(era, scope), Vec::<String>::new());
            }
        }
    }
}
