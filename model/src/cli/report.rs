//! The end of a check on paper: properties, coverage, counts, and what was bounded.

use super::job::{Findings, Verdict};
use super::memory;
use super::units::readable_duration;
use super::unreachable::reason;
use indicatif::HumanCount;
use psync_model::property::Property;
use psync_model::rulebook::{Era, Identity, Rulebook};
use psync_model::scope::Scope;
use psync_model::step::Step;
use std::collections::BTreeMap;

impl Verdict {
    /// As it is printed.
    pub(crate) const fn word(&self) -> &'static str {
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
    let no_secondary = book.identity != Identity::ReplicationId;
    match property {
        Property::S3 | Property::S5 | Property::S7 | Property::S16 | Property::L2 if no_psync => {
            Some("without a backlog nobody is ever continued")
        }
        Property::S6 if no_secondary => {
            Some("before 4.0 an ID names a process, and there is no secondary one")
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

/// A rule or branch, how often it fired, and why it never did, if that is known.
pub(crate) struct Covered {
    /// As the step prints itself.
    pub(crate) name: String,
    /// How often, whomever it happened to.
    pub(crate) times: u64,
    /// Why never, where that is to be expected.
    pub(crate) reason: Option<&'static str>,
}

impl Covered {
    /// Whether it should have fired and did not.
    pub(crate) const fn is_missing(&self) -> bool {
        self.times == 0 && self.reason.is_none()
    }
}

/// Every rule and branch of a scope, in alphabetical order.
pub(crate) fn coverage(fired: &BTreeMap<Step, u64>, era: Era, scope: &Scope) -> Vec<Covered> {
    let mut counts: BTreeMap<String, (u64, Step)> = BTreeMap::new();
    for (&step, count) in fired {
        counts.entry(step.to_string()).or_insert((0, step)).0 += count;
    }
    let covered = |(name, (times, step))| Covered {
        name,
        times,
        reason: reason(step, era, scope).filter(|_| times == 0),
    };
    counts.into_iter().map(covered).collect()
}

/// Prints which rules and branches fired: all of them, or only those that never did and should have.
pub(crate) fn print_coverage(fired: &BTreeMap<Step, u64>, era: Era, scope: &Scope, all: bool) {
    let rows = coverage(fired, era, scope);
    println!(
        "  rules and branches: {} of {} fired, {} of the others should have",
        rows.iter().filter(|row| row.times > 0).count(),
        rows.len(),
        rows.iter().filter(|row| row.is_missing()).count()
    );
    for row in rows {
        let name = &row.name;
        match row.reason {
            _ if row.is_missing() => {
                println!("  ! {name:<36}     never, and nothing says why");
            }
            Some(why) if all => println!("    {name:<36}     never: {why}"),
            None if all => println!("    {name:<36} {:>9}", row.times),
            _ => {}
        }
    }
}

/// Prints how much was visited, in which time and memory.
pub(crate) fn print_counts(found: &Findings) {
    let memory = memory::peak()
        .map(|bytes| format!(", at most {} MiB of memory so far", bytes >> 20))
        .unwrap_or_default();
    println!(
        "  {} states, {} edges, depth {}, {}{memory}",
        HumanCount(found.states as u64),
        HumanCount(found.edges),
        found.depth,
        readable_duration(found.elapsed),
    );
}

/// Prints how many steps apply in a state, and in how many states so many do.
pub(crate) fn print_branching(found: &Findings) {
    let Some(degrees) = &found.degrees else {
        return;
    };
    let counts: Vec<_> = distribution(degrees)
        .map(|(steps, states)| format!("{steps}: {}", HumanCount(states)))
        .collect();
    println!(
        "  steps that apply in a state: {:.1} on average ({})",
        mean(degrees),
        counts.join(", ")
    );
}

/// How many steps apply, and in how many states so many do, where any do.
pub(crate) fn distribution(degrees: &[u64]) -> impl Iterator<Item = (usize, u64)> + '_ {
    let all = degrees.iter().copied().enumerate();
    all.filter(|(_, states)| *states > 0)
}

/// The average number of steps that apply.
pub(crate) fn mean(degrees: &[u64]) -> f64 {
    let states: u64 = degrees.iter().sum();
    let steps: u64 = distribution(degrees)
        .map(|(steps, states)| steps as u64 * states)
        .sum();
    steps as f64 / states.max(1) as f64
}

/// What was bounded, and how sure a count by fingerprints is.
pub(crate) fn print_bounds(scope: &Scope, states: usize) {
    println!("  bounds: {}.", scope.bounds());
    println!(
        "  States are told apart by 64-bit fingerprints: the chance that two were taken for one is about {:.0e}.",
        collision(states)
    );
}

/// The chance that among so many states two have one fingerprint: n² / 2⁶⁵.
pub(crate) fn collision(states: usize) -> f64 {
    (states as f64).powi(2) / 2_f64.powi(65)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_states_are_safely_told_apart() {
        assert!(collision(1_000_000) < 1e-7);
    }

    #[test]
    fn the_average_counts_states() {
        assert!((mean(&[1, 0, 0, 0, 3]) - 3.0).abs() < 1e-9);
        assert!(mean(&[0, 0]).abs() < 1e-9);
    }

    #[test]
    fn the_oldest_era_has_nothing_to_continue() {
        let book = Era::Sync.rulebook();
        assert!(not_applicable(Property::S16, &book).is_some());
        assert!(not_applicable(Property::S4, &book).is_none());
    }
}
