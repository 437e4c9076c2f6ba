//! The end of a check on paper: properties, coverage, counts, and what was bounded.

use super::job::Findings;
use super::units::readable_duration;
use super::unreachable::reason;
use indicatif::HumanCount;
use psync_model::property::Property;
use psync_model::rulebook::{Era, Identity, RestartedPrimary, Rulebook};
use psync_model::scope::Scope;
use psync_model::step::Step;
use std::collections::BTreeMap;
use std::fs;

/// What became of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It holds on every step, or every behaviour, of the scope.
    Proved,
    /// It does not.
    Violated,
    /// The era has nothing that it speaks about.
    NotApplicable(&'static str),
    /// Nothing is known, for this reason.
    NotJudged(String),
}

impl Verdict {
    const fn word(&self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Violated => "VIOLATED",
            Self::NotApplicable(_) => "not applicable",
            Self::NotJudged(_) => "not judged",
        }
    }

    const fn word_in_matrix(&self) -> &'static str {
        match self {
            Self::NotApplicable(_) => "–",
            other => other.word(),
        }
    }
}

/// Why a property says nothing in an era.
pub(crate) fn not_applicable(property: Property, book: &Rulebook) -> Option<&'static str> {
    let no_psync = book.identity == Identity::None;
    let no_secondary = book.restarted_primary == RestartedPrimary::ForgetsLabel;
    match property {
        Property::S3 | Property::S5 | Property::S7 | Property::S16 | Property::L2 if no_psync => {
            Some("without a backlog nobody is ever continued")
        }
        Property::S6 if no_secondary => {
            Some("in this era only promotion, which is not in the model yet, makes a secondary ID")
        }
        Property::S9 if book.identity != Identity::ReplicationId => {
            Some("before 4.0 an offset may lie within a command")
        }
        _ => None,
    }
}

/// Prints the table of properties; after a violation only what is broken, because nothing else is known.
pub(crate) fn print_properties(verdicts: &[(Property, Verdict)]) {
    let violated = verdicts
        .iter()
        .any(|(_, verdict)| *verdict == Verdict::Violated);
    let (mut last_why, mut hidden) = (None, 0);
    for (property, verdict) in verdicts {
        if violated && matches!(verdict, Verdict::NotJudged(_)) {
            hidden += 1;
            continue;
        }
        let why = match verdict {
            Verdict::Proved | Verdict::Violated => None,
            Verdict::NotApplicable(why) => Some(*why),
            Verdict::NotJudged(why) => Some(why.as_str()),
        };
        let (name, word) = (format!("{property:?}"), verdict.word());
        println!("  {name:<4} {word:<15} {}", property.sentence());
        if let Some(why) = why.filter(|why| last_why != Some(*why)) {
            println!("  {:<4} {:<15} ({why})", "", "");
        }
        last_why = why.or(last_why);
    }
    if hidden > 0 {
        println!("  {hidden} others are not judged: the search ended at the first violation");
    }
}

/// Prints the properties of several eras side by side.
pub(crate) fn print_matrix(eras: &[(Era, Vec<(Property, Verdict)>)]) {
    print!("      ");
    for (era, _) in eras {
        print!("{:<11}", era.name());
    }
    println!();
    for (place, property) in Property::ALL.into_iter().enumerate() {
        let name = format!("{property:?}");
        print!("  {name:<4}");
        for (_, verdicts) in eras {
            print!("{:<11}", verdicts[place].1.word_in_matrix());
        }
        println!("{}", property.sentence());
    }
    println!("  (– the era has nothing that the property speaks about)\n");
}

/// Prints which rules and branches fired: all of them, or only those that never did and should have.
pub(crate) fn print_coverage(fired: &BTreeMap<Step, u64>, era: Era, scope: &Scope, all: bool) {
    let mut counts: BTreeMap<String, (u64, Step)> = BTreeMap::new();
    for (&step, count) in fired {
        counts.entry(step.to_string()).or_insert((0, step)).0 += count;
    }
    let fired = counts.values().filter(|(count, _)| *count > 0).count();
    let unexplained =
        |(count, step): &&(u64, Step)| *count == 0 && reason(*step, era, scope).is_none();
    let missing = counts.values().filter(unexplained).count();
    println!(
        "  rules and branches: {fired} of {} fired, {missing} of the others should have",
        counts.len()
    );
    for (name, (count, step)) in counts {
        match (count, reason(step, era, scope)) {
            (0, None) => println!("  ! {name:<36}     never, and nothing says why"),
            (0, Some(why)) if all => println!("    {name:<36}     never: {why}"),
            _ if all => println!("    {name:<36} {count:>9}"),
            _ => {}
        }
    }
}

/// Prints how much was visited, in which time and memory.
pub(crate) fn print_counts(found: &Findings) {
    let memory = peak_memory_mib()
        .map(|mib| format!(", at most {mib} MiB of memory so far"))
        .unwrap_or_default();
    println!(
        "  {} states, {} edges, depth {}, {}{memory}",
        HumanCount(found.states as u64),
        HumanCount(found.edges),
        found.depth,
        readable_duration(found.elapsed),
    );
}

/// What was bounded, and how sure a count by fingerprints is.
pub(crate) fn print_bounds(scope: &Scope, states: usize) {
    println!("  bounded: {}.", scope.bounds());
    println!(
        "  States are told apart by 64-bit fingerprints: the chance that two were taken for one is about {:.0e}.",
        collision(states)
    );
}

/// The chance that among so many states two have one fingerprint: n² / 2⁶⁵.
fn collision(states: usize) -> f64 {
    (states as f64).powi(2) / 2_f64.powi(65)
}

/// The most memory this process has used so far, in MiB, where the system says.
fn peak_memory_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_states_are_safely_told_apart() {
        assert!(collision(1_000_000) < 1e-7);
    }

    #[test]
    fn the_oldest_era_has_nothing_to_continue() {
        let book = Era::Sync.rulebook();
        assert!(not_applicable(Property::S16, &book).is_some());
        assert!(not_applicable(Property::S4, &book).is_none());
    }
}
