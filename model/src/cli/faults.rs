//! `psync-model faults`: every flaw, the property that catches it, and how soon.

use super::Outcome;
use super::job::MOST_IN_MEMORY;
use super::progress::{Count, Meter};
use super::select::scope_named;
use psync_model::fault::{FAULTS, Fault};
use psync_model::liveness::{self, Ending, NotProved};
use psync_model::property::Property;
use psync_model::rulebook::{Era, Rulebook};
use psync_model::scope::{NamedScope, SCOPES};
use psync_model::search::Search;
use psync_model::walk::{End, Limits, walk};

const DETAILS: &str = "\
Columns:
  steps     the length of the shortest counterexample
  outside   the length of the shortest one that somebody outside the servers could see:
            a reply, a snapshot, a stream or data that are wrong; looked for in larger scopes too,
            in up to two million states each
Each fault is tried in the newest era in which it shows, in the smallest scope that shows it.
`psync-model check --fault NAME` prints the counterexample.";

/// Which faults, and where.
#[derive(Debug, clap::Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Args {
    /// Only the faults that show in this era, in it
    #[arg(long, value_enum)]
    era: Option<Era>,
    /// Only this scope, instead of the smallest that shows the fault
    #[arg(long, value_parser = scope_named)]
    scope: Option<&'static NamedScope>,
}

/// A break: the properties, and after how many steps.
struct Break {
    properties: Vec<Property>,
    steps: usize,
}

/// How a fault was caught.
struct Caught {
    scope: &'static str,
    first: Break,
    outside: Option<(&'static str, Break)>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let scopes: Vec<&'static NamedScope> = args
        .scope
        .map_or_else(|| SCOPES.iter().collect(), |scope| vec![scope]);
    println!(
        "{:<36} {:<11} {:<10} {:<12} {:>5} {:<9} {:>7} {:<8} scope",
        "fault", "source", "era", "caught by", "steps", "scope", "outside", "as"
    );
    let (mut tried, mut missed) = (0, 0);
    for fault in FAULTS {
        let era = args.era.unwrap_or(fault.home());
        let Some(book) = fault.in_era(era) else {
            continue;
        };
        tried += 1;
        let caught = catch(fault.name, book, &scopes);
        missed += usize::from(caught.is_none());
        print_row(fault, era, caught.as_ref());
    }
    println!();
    println!("{} of {tried} faults caught", tried - missed);
    if missed == 0 {
        Outcome::Proved
    } else {
        Outcome::Violated
    }
}

fn print_row(fault: &Fault, era: Era, caught: Option<&Caught>) {
    let start = format!("{:<36} {:<11} {:<10}", fault.name, fault.source, era.name());
    let Some(caught) = caught else {
        println!("{start} NOT CAUGHT (expected {:?})", fault.property);
        return;
    };
    let (steps, names) = (caught.first.steps, names(&caught.first));
    let outside = caught.outside.as_ref().map_or_else(
        || format!("{:>7} {:<8} not found", "-", "-"),
        |(scope, seen)| format!("{:>7} {:<8} {scope}", seen.steps, self::names(seen)),
    );
    println!(
        "{start} {names:<12} {steps:>5} {:<9} {outside}",
        caught.scope
    );
    if !caught.first.properties.contains(&fault.property) {
        println!("    expected {:?}", fault.property);
    }
}

fn names(found: &Break) -> String {
    let names: Vec<_> = found
        .properties
        .iter()
        .map(|property| format!("{property:?}"))
        .collect();
    names.join(" ")
}

/// Looks for a break of anything, and then for one that shows outside, in the same scope or a larger one.
fn catch(name: &str, book: Rulebook, scopes: &[&'static NamedScope]) -> Option<Caught> {
    let search = |scope: &NamedScope| Search::new(book, scope.scope);
    let (place, first) = scopes.iter().enumerate().find_map(|(place, scope)| {
        let found = first_break(name, &search(scope), Limits::PROVE)?;
        Some((place, found))
    })?;
    let visible: Vec<_> = Property::ALL
        .into_iter()
        .filter(|property| property.is_visible_outside())
        .collect();
    let bounded = Limits {
        max_states: MOST_IN_MEMORY,
        ..Limits::PROVE
    };
    let outside = scopes[place..].iter().find_map(|scope| {
        let search = search(scope).watching(visible.iter().copied());
        Some((scope.name, first_break(name, &search, bounded)?))
    });
    Some(Caught {
        scope: scopes[place].name,
        first,
        outside,
    })
}

fn first_break(name: &str, search: &Search, limits: Limits) -> Option<Break> {
    let mut meter = Meter::new(name);
    let found = walk(search, limits, |progress| {
        meter.count(Count::with_queue(progress));
        true
    });
    if let Some(violation) = found.violations.first() {
        return Some(Break {
            properties: Property::in_bits(violation.broken).collect(),
            steps: violation.steps.len(),
        });
    }
    if found.end != End::Complete || found.states > MOST_IN_MEMORY {
        return None;
    }
    match liveness::prove(search.clone(), found.states + 1) {
        Err(NotProved::Stuck(stuck)) if stuck.ending != Ending::ScopeEnds => Some(Break {
            properties: vec![Property::L1],
            steps: stuck.steps.len(),
        }),
        _ => None,
    }
}
