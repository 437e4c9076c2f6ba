//! How a fault comes to light: the nearest break of a property in the smallest scope that shows it.
//!
//! Safety is looked for among the nearest worlds of each scope, because what breaks at all breaks early;
//! convergence needs the whole graph, and is judged where that fits in memory.

use crate::fault::{self, Fault};
use crate::liveness::{Ending, NotProved, prove};
use crate::property::Property;
use crate::rulebook::Era;
use crate::scope::{self, NamedScope};
use crate::search::Search;
use crate::step::Step;
use crate::walk::{Limits, Progress, walk};

/// The scopes in which a fault is looked for, smallest first; between them they show every fault.
pub const LADDER: [&str; 12] = [
    "smoke",
    "errors",
    "restarts",
    "chain",
    "databases",
    "transactions",
    "replay",
    "failover",
    "role-restarts",
    "restart",
    "handover",
    "succession",
];

/// How many worlds of a scope are visited, the nearest first; for convergence, all of so many.
pub const MAX_NEAREST: usize = 150_000;

/// For each property a fault that breaks it when nothing else is watched, and the scope in which it does.
pub const TEETH: &[(Property, &str, &str)] = &[
    (Property::S1, "restart-label-too-new", "restarts"),
    (Property::S2, "label-adopted-before-load", "smoke"),
    (Property::S3, "request-not-plus-one", "smoke"),
    (Property::S4, "label-at-request", "smoke"),
    (Property::S5, "backlog-differs-from-stream", "smoke"),
    (Property::S6, "restart-label-too-new", "restarts"),
    (Property::S7, "expired-backlog-keeps-id", "smoke"),
    (Property::S8, "primary-adopts-saved-id", "restarts"),
    (Property::S9, "half-command-counted", "smoke"),
    (Property::S10, "uncounted-byte-in-stream", "smoke"),
    (Property::S11, "full-resync-without-select", "databases"),
    (Property::S12, "acknowledges-unapplied", "smoke"),
    (Property::S13, "full-load-keeps-replicas", "chain"),
    (Property::S14, "data-discarded-before-snapshot", "smoke"),
    (Property::S15, "offset-reset-on-continue", "smoke"),
    (Property::S16, "replication-id-not-checked", "smoke"),
    (Property::L1, "last-command-withheld", "smoke"),
    (Property::L2, "cached-primary-lost", "smoke"),
];

/// A broken property and a shortest way to break it.
#[derive(Clone, Debug)]
pub struct Break {
    /// What is broken.
    pub properties: Vec<Property>,
    /// The steps from the initial world; where convergence is broken, those to where it is stuck.
    pub steps: Vec<Step>,
    /// How it goes on for ever, where convergence is broken.
    pub ending: Option<Ending>,
}

/// A break with where it was found.
#[derive(Clone, Debug)]
pub struct Caught {
    /// The scope.
    pub scope: &'static NamedScope,
    /// The rulebook in that scope, and what was watched.
    pub search: Search,
    /// The break.
    pub found: Break,
}

/// The scopes in which faults are looked for.
pub fn ladder() -> impl Iterator<Item = &'static NamedScope> {
    LADDER
        .iter()
        .map(|name| scope::named(name).expect("the ladder names scopes that exist"))
}

/// How a fault comes to light in an era, in the first of the scopes that shows it; `None` where it is no fault
/// there, or was not found. `watch` is told of the progress.
pub fn caught(
    fault: &Fault,
    era: Era,
    scopes: impl IntoIterator<Item = &'static NamedScope>,
    mut watch: impl FnMut(Progress),
) -> Option<Caught> {
    let book = fault.in_era(era)?;
    scopes.into_iter().find_map(|scope| {
        let search = Search::new(book, scope.scope);
        let found = if fault.property == Property::L1 {
            endless(&search)
        } else {
            nearest(&search, &mut watch)
        }?;
        Some(Caught {
            scope,
            search,
            found,
        })
    })
}

/// The fault that shows what it means to break this property, and how it does when nothing else is watched.
pub fn teeth(property: Property) -> Option<(&'static Fault, Caught)> {
    let (_, name, scope) = TEETH.iter().find(|row| row.0 == property)?;
    let (fault, scope) = (fault::named(name)?, scope::named(scope)?);
    let search = Search::new(fault.in_era(fault.home())?, scope.scope).watching([property]);
    let found = if property == Property::L1 {
        endless(&search)
    } else {
        nearest(&search, |_| ())
    }?;
    let caught = Caught {
        scope,
        search,
        found,
    };
    Some((fault, caught))
}

/// The nearest break of what `search` watches, convergence aside.
pub fn nearest(search: &Search, mut watch: impl FnMut(Progress)) -> Option<Break> {
    let limits = Limits {
        max_states: MAX_NEAREST,
        ..Limits::PROVE
    };
    let found = walk(search, limits, |progress| {
        watch(progress);
        true
    });
    let violation = found.violations.into_iter().next()?;
    Some(Break {
        properties: Property::in_bits(violation.broken).collect(),
        steps: violation.steps,
        ending: None,
    })
}

/// A behaviour that never converges.
fn endless(search: &Search) -> Option<Break> {
    match prove(search.clone(), MAX_NEAREST) {
        Err(NotProved::Stuck(stuck)) => Some(Break {
            properties: vec![Property::L1],
            steps: stuck.steps,
            ending: Some(stuck.ending),
        }),
        _ => None,
    }
}
