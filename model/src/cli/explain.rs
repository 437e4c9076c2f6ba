//! `psync-model explain`: a rule, a property or a fault, in words, with its source and a shortest path that
//! shows it.

use super::{Outcome, counterexample};
use anyhow::{Context, bail};
use psync_model::catch::{self, Break, Caught, ladder};
use psync_model::fault::{self, FAULTS, Fault};
use psync_model::never::NEVER;
use psync_model::property::Property;
use psync_model::prose::{self, Passage};
use psync_model::reach;
use psync_model::rulebook::Era;
use psync_model::scope::NamedScope;
use psync_model::search::Search;
use psync_model::step::Step;
use psync_model::world::Topology;
use std::collections::BTreeSet;

/// How many worlds of a scope are looked through for a rule.
const MAX_NEAREST: usize = 100_000;

/// The longest line of prose, in characters.
const WIDTH: usize = 100;

/// How alike, from 0 to 1, a name must be to be offered instead of one that is unknown.
const ALIKE: f64 = 0.55;

const DETAILS: &str = "\
Examples:
  psync-model explain accept-partial
  psync-model explain decline-partial/too-old        one branch of a rule
  psync-model explain S3                             a property, and a fault that breaks it
  psync-model explain request-not-plus-one           a fault
  psync-model explain ?                              every name there is";

/// What to explain.
#[derive(Debug, clap::Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Args {
    /// A rule, a branch of one, a property or a fault
    #[arg(value_name = "RULE|PROPERTY|FAULT")]
    name: String,
    /// The generation of the protocol in which to show it; the newest that has it unless told otherwise
    #[arg(long, value_enum)]
    era: Option<Era>,
}

/// Something that has a name.
#[derive(Clone, Copy)]
enum Topic {
    /// A rule, or one branch of it.
    Rule(Step),
    Property(Property),
    Fault(&'static Fault),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    if args.name == "?" {
        print_names();
        return Ok(Outcome::Proved);
    }
    match topic(&args.name)? {
        Topic::Rule(step) => rule(&args.name, step, args.era)?,
        Topic::Property(property) => self::property(property)?,
        Topic::Fault(fault) => self::fault(fault, args.era)?,
    }
    Ok(Outcome::Proved)
}

fn topic(name: &str) -> anyhow::Result<Topic> {
    let property = |property: &Property| format!("{property:?}").eq_ignore_ascii_case(name);
    if let Some(property) = Property::ALL.into_iter().find(property) {
        return Ok(Topic::Property(property));
    }
    if let Some(fault) = fault::named(name) {
        return Ok(Topic::Fault(fault));
    }
    let step = all_steps().find(|step| is_named(*step, name));
    step.map(Topic::Rule).map_or_else(|| unknown(name), Ok)
}

fn all_steps() -> impl Iterator<Item = Step> {
    Step::among(Topology::LongChain).into_iter()
}

/// Whether a step is of this rule or, if the name has one, of this branch.
fn is_named(step: Step, name: &str) -> bool {
    step.rule_name() == name || step.to_string() == name
}

fn unknown(name: &str) -> anyhow::Result<Topic> {
    let mut names: BTreeSet<String> = all_steps().map(|step| step.to_string()).collect();
    names.extend(prose::rules().into_iter().map(str::to_owned));
    names.extend(FAULTS.iter().map(|fault| fault.name.to_owned()));
    // A part of a name is nearer than anything that only looks like it.
    let likeness = |known: &str| {
        strsim::jaro_winkler(known, name) + if known.contains(name) { 1.0 } else { 0.0 }
    };
    let mut near: Vec<(f64, String)> = names
        .into_iter()
        .map(|known| (likeness(&known), known))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0));
    let near: Vec<String> = near.into_iter().take(4).map(|(_, name)| name).collect();
    let hint = if near.is_empty() {
        String::new()
    } else {
        format!("; near to it are {}", near.join(", "))
    };
    bail!(
        "there is no rule, property or fault called `{name}`{hint} (`psync-model explain ?` lists all)"
    )
}

fn print_names() {
    println!("rules");
    for rule in prose::rules() {
        let branches: BTreeSet<&str> = all_steps()
            .filter(|step| step.rule_name() == rule)
            .filter_map(Step::branch)
            .collect();
        let branches: Vec<&str> = branches.into_iter().collect();
        let branches = match branches.as_slice() {
            [] => String::new(),
            some => format!("/{{{}}}", some.join(",")),
        };
        println!("  {rule}{branches}");
    }
    println!("properties");
    for property in Property::ALL {
        println!("  {:<4}{}", format!("{property:?}"), property.sentence());
    }
    println!("faults");
    for fault in FAULTS {
        println!("  {:<38}{}", fault.name, fault.sentence);
    }
}

fn print_passage(heading: &str, passage: &Passage) {
    println!("{heading}\n");
    for paragraph in &passage.prose {
        print_wrapped(&paragraph.replace("**", ""), "  ");
        println!();
    }
    if let Some(source) = &passage.source {
        println!("  source: {}", source.trim_end_matches('.'));
    }
    println!("  code:   {}", passage.place);
}

/// Prints words in lines of at most [`WIDTH`] characters.
fn print_wrapped(words: &str, indent: &str) {
    let mut line = String::new();
    for word in words.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            println!("{indent}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    println!("{indent}{line}");
}

fn rule(name: &str, step: Step, only: Option<Era>) -> anyhow::Result<()> {
    let passage = prose::of_rule(step.rule_name());
    let passage = passage.context("a test finds the comment of every rule")?;
    print_passage(&format!("{name}, a rule"), &passage);
    print_mistakes(passage.source.as_deref().unwrap_or_default());
    for never in NEVER {
        let eras: Vec<_> = never.eras.iter().map(|era| era.name()).collect();
        if never.step == name || never.step.split('/').next() == Some(name) {
            println!(
                "  never:  {} in {}: {}",
                never.step,
                eras.join(", "),
                never.because
            );
        }
    }
    println!();
    let wanted = |step: Step| is_named(step, name);
    let eras: Vec<Era> = only.map_or_else(|| Era::ALL.into_iter().rev().collect(), |era| vec![era]);
    let shown = ladder().find_map(|scope| {
        eras.iter().find_map(|&era| {
            let search = Search::new(era.rulebook(), scope.scope);
            let steps = reach::shortest(&search, MAX_NEAREST, wanted)?;
            Some((format!("era {era}, scope {}", scope.name), search, steps))
        })
    });
    let Some((place, search, steps)) = shown.or_else(|| only_when_wrong(&eras, wanted)) else {
        println!("  No path to it was found in the eras asked for.");
        return Ok(());
    };
    println!(
        "  A shortest path that ends with it, {place}, {} steps:\n",
        steps.len()
    );
    counterexample::print(&search, &steps)
}

/// Prints the faults about the sections that a rule stands for, with what catches each.
fn print_mistakes(source: &str) {
    for (number, _) in prose::protocol_sections() {
        if !prose::cites(source, number) {
            continue;
        }
        let faults = prose::faults_about(number);
        if faults.is_empty() {
            continue;
        }
        let faults: Vec<_> = faults
            .iter()
            .map(|fault| format!("{} ({:?})", fault.name, fault.property))
            .collect();
        print_wrapped(
            &format!("§{number} goes wrong as {}", faults.join(", ")),
            "  ",
        );
    }
}

/// A path to what no right server does, with the fault that makes it possible.
fn only_when_wrong(
    eras: &[Era],
    wanted: impl Fn(Step) -> bool,
) -> Option<(String, Search, Vec<Step>)> {
    FAULTS.iter().find_map(|fault| {
        let era = eras
            .iter()
            .copied()
            .find(|&era| fault.in_era(era).is_some())?;
        let scope = ladder().next()?;
        let search = Search::new(fault.in_era(era)?, scope.scope);
        let steps = reach::shortest(&search, MAX_NEAREST, &wanted)?;
        let place = format!(
            "era {era}, scope {}, with the fault {}",
            scope.name, fault.name
        );
        Some((place, search, steps))
    })
}

fn property(property: Property) -> anyhow::Result<()> {
    let passage = prose::of_property(property);
    let passage = passage.context("a test finds the wording of every property")?;
    print_passage(&format!("{property:?}, a property"), &passage);
    let visible = if property.is_visible_outside() {
        "somebody outside the servers can see it broken"
    } else {
        "it is about what only the servers know; what follows from it can be seen"
    };
    println!("  seen:   {visible}");
    let faults = FAULTS.iter().filter(|fault| fault.property == property);
    let faults: Vec<_> = faults.map(|fault| fault.name).collect();
    if !faults.is_empty() {
        println!("  caught: {}", faults.join(", "));
    }
    println!();
    let (fault, caught) = catch::teeth(property).context("a fault breaks every property")?;
    println!(
        "  What it means to break it: {} ({}).",
        fault.sentence, fault.name
    );
    print_break(&caught.search, fault.home(), caught.scope, &caught.found)
}

fn fault(fault: &Fault, only: Option<Era>) -> anyhow::Result<()> {
    let passage = prose::of_fault(fault);
    let passage = passage.context("a test finds the flaw of every fault")?;
    print_passage(
        &format!("{}, a fault: {}", fault.name, fault.sentence),
        &passage,
    );
    let era = only.unwrap_or(fault.home());
    let Some(entry) = prose::entry_of(fault, era) else {
        bail!("the fault {} does not show in era {era}", fault.name);
    };
    println!("  entry:  {} ({})", entry.question, entry.place);
    println!("    right:  {}: {}", entry.right.0, entry.right.1);
    println!("    wrong:  {}: {}", entry.wrong.0, entry.wrong.1);
    println!("    read:   {}", entry.read_at.join(", "));
    println!(
        "  caught: {:?}, {}\n",
        fault.property,
        fault.property.sentence()
    );
    match catch::caught(fault, era, ladder(), |_| ()) {
        Some(Caught {
            scope,
            search,
            found,
        }) => print_break(&search, era, scope, &found),
        None => bail!(
            "the fault {} is not caught in era {era}: a property is missing",
            fault.name
        ),
    }
}

fn print_break(search: &Search, era: Era, scope: &NamedScope, found: &Break) -> anyhow::Result<()> {
    let names: Vec<_> = found.properties.iter().map(|p| format!("{p:?}")).collect();
    println!(
        "  A shortest path that breaks {}, era {era}, scope {}, {} steps:\n",
        names.join(", "),
        scope.name,
        found.steps.len()
    );
    counterexample::print(search, &found.steps)?;
    if let Some(ending) = &found.ending {
        println!("  then: {}\n", counterexample::goes_on(ending));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_its_topic() {
        for rule in prose::rules() {
            assert!(matches!(topic(rule), Ok(Topic::Rule(_))), "{rule}");
        }
        assert!(matches!(topic("s16"), Ok(Topic::Property(Property::S16))));
        for fault in FAULTS {
            assert!(matches!(topic(fault.name), Ok(Topic::Fault(_))));
        }
    }

    #[test]
    fn a_name_with_a_mistake_is_answered_with_the_one_that_was_meant() {
        for (mistake, meant) in [
            ("acept-partial", "accept-partial"),
            ("request-plus-one", "request-not-plus-one"),
            ("too-old", "decline-partial/too-old"),
        ] {
            let Err(error) = topic(mistake) else {
                panic!("{mistake} is no name");
            };
            assert!(error.to_string().contains(meant), "{error}");
        }
    }
}
