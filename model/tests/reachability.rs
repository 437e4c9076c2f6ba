//! Every rule and every branch happens in every era, except those that are listed with a reason.

use psync_model::never::NEVER;
use psync_model::rulebook::Era;
use psync_model::scope;
use psync_model::search::Search;
use psync_model::step::Step;
use psync_model::walk::{Limits, walk};
use psync_model::world::Topology;
use std::collections::BTreeSet;

/// Scopes walked to their end, and scopes of which the nearest part shows what the others leave out.
const SCOPES: [(&str, usize); 10] = [
    ("chain", 60_000),
    ("errors", 60_000),
    ("role-restarts", 60_000),
    ("failover", 60_000),
    ("handover", 60_000),
    ("databases", 60_000),
    ("smoke", usize::MAX),
    ("replay", usize::MAX),
    ("everything", 60_000),
    ("pings", 60_000),
];

fn never_fired(era: Era) -> BTreeSet<String> {
    let mut never: BTreeSet<String> = Step::among(Topology::LongChain)
        .iter()
        .map(Step::to_string)
        .collect();
    for (name, max_states) in SCOPES {
        let scope = scope::named(name).expect("the list names scopes that exist");
        let limits = Limits {
            max_states,
            ..Limits::PROVE
        };
        let walk = walk(&Search::new(era.rulebook(), scope.scope), limits, |_| true);
        for (step, times) in walk.fired {
            if times > 0 {
                never.remove(&step.to_string());
            }
        }
    }
    never
}

#[test]
fn exactly_the_listed_rules_and_branches_never_happen() {
    for era in Era::ALL {
        let listed: BTreeSet<String> = NEVER
            .iter()
            .filter(|never| never.eras.contains(&era))
            .map(|never| never.step.to_owned())
            .collect();
        assert_eq!(never_fired(era), listed, "era {era}");
    }
}

#[test]
fn each_listed_branch_has_a_reason() {
    let known: BTreeSet<String> = Step::among(Topology::LongChain)
        .iter()
        .map(Step::to_string)
        .collect();
    for never in NEVER {
        assert!(known.contains(never.step), "{} is no step", never.step);
        assert!(!never.because.is_empty() && !never.eras.is_empty());
    }
}
