//! `psync-model faults`: every flaw, the property that catches it, and how soon.

use super::Outcome;
use super::progress::{Count, Meter};
use super::select::scope_named;
use psync_model::catch::{self, Break, Caught, MAX_NEAREST, caught, ladder};
use psync_model::fault::{FAULTS, Fault};
use psync_model::property::Property;
use psync_model::rulebook::Era;
use psync_model::scope::NamedScope;
use psync_model::search::Search;
use psync_model::walk::Progress;

const DETAILS: &str = "\
Columns:
  steps     the length of the shortest counterexample
  outside   the length of the shortest one that somebody outside the servers could see:
            a reply, a snapshot, a stream or data that are wrong; looked for in larger scopes too
Each fault is tried in the newest era in which it shows, in the smallest scope that shows it, among the
hundred thousand nearest states of each.
`psync-model check --fault NAME` prints the counterexample, `psync-model explain NAME` what it means.";

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

/// A break that somebody outside could see, and the scope it is in.
type Outside = (&'static str, Break);

pub(crate) fn run(args: &Args) -> Outcome {
    let scopes: Vec<&'static NamedScope> = args
        .scope
        .map_or_else(|| ladder().collect(), |scope| vec![scope]);
    println!(
        "{:<36} {:<11} {:<10} {:<12} {:>5} {:<9} {:>7} {:<8} scope",
        "fault", "source", "era", "caught by", "steps", "scope", "outside", "as"
    );
    let (mut tried, mut missed) = (0, 0);
    for fault in FAULTS {
        let era = args.era.unwrap_or(fault.home());
        if fault.in_era(era).is_none() {
            continue;
        }
        tried += 1;
        let mut meter = Meter::new(fault.name);
        let watch = |progress: Progress| meter.count(Count::with_queue(progress));
        let caught = caught(fault, era, scopes.iter().copied(), watch);
        let outside = caught.as_ref().and_then(|caught| outside(caught, &scopes));
        drop(meter);
        missed += usize::from(caught.is_none());
        print_row(fault, era, caught.as_ref(), outside.as_ref());
    }
    println!();
    println!("{} of {tried} faults caught", tried - missed);
    if missed == 0 {
        Outcome::Proved
    } else {
        Outcome::Violated
    }
}

fn print_row(fault: &Fault, era: Era, caught: Option<&Caught>, outside: Option<&Outside>) {
    let start = format!("{:<36} {:<11} {:<10}", fault.name, fault.source, era.name());
    let Some(Caught { scope, found, .. }) = caught else {
        println!(
            "{start} NOT CAUGHT in {MAX_NEAREST} states (expected {:?})",
            fault.property
        );
        return;
    };
    let (steps, names) = (found.steps.len(), names(found));
    let outside = outside.map_or_else(
        || format!("{:>7} {:<8} not found", "-", "-"),
        |(scope, seen)| {
            let (steps, names) = (seen.steps.len(), self::names(seen));
            format!("{steps:>7} {names:<8} {scope}")
        },
    );
    println!("{start} {names:<12} {steps:>5} {:<9} {outside}", scope.name);
    if !found.properties.contains(&fault.property) {
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

/// Looks for a break that shows outside, in the scope in which the fault was caught or a larger one.
fn outside(caught: &Caught, scopes: &[&'static NamedScope]) -> Option<Outside> {
    if caught.found.properties == [Property::L1] {
        return Some((caught.scope.name, caught.found.clone()));
    }
    let visible = || Property::ALL.into_iter().filter(|p| p.is_visible_outside());
    let larger = scopes
        .iter()
        .skip_while(|scope| scope.name != caught.scope.name);
    larger.into_iter().find_map(|scope| {
        let search = Search::new(caught.search.setting.book, scope.scope).watching(visible());
        Some((scope.name, catch::nearest(&search, |_| ())?))
    })
}
