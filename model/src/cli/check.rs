//! `psync-model check`: visit every state of a scope, in one era after the other, and say what came out.

use super::job::{Engine, Findings, Job, MOST_IN_MEMORY, Verdict};
use super::keep::{FOLDER, Kept, keep};
use super::own_scope::{Changes, Chosen};
use super::report::{print_bounds, print_branching, print_counts, print_coverage};
use super::report::{print_matrix, print_properties};
use super::select::{Wanted, fault_named, rulebook, wanted_named};
use super::units::{bytes, duration, readable_bytes, readable_duration};
use super::{Outcome, counterexample, memory, record};
use anyhow::ensure;
use indicatif::HumanCount;
use psync_model::fault::Fault;
use psync_model::liveness::Stuck;
use psync_model::property::Property;
use psync_model::rulebook::Era;
use psync_model::scope;
use psync_model::search::Search;
use psync_model::suite::Suite;
use psync_model::survey::Means;
use psync_model::walk::{End, Violation};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

const DETAILS: &str = "\
Without --era, every era is checked; with --fault, the newest era in which it shows.

Examples:
  psync-model check                                every era, scope replay: a few seconds
  psync-model check --scope standard               what a minute allows, in the newest era
  psync-model check --scope wide                   every era, every scope whose end is known: within an hour and 8 GiB
  psync-model check --era psync --scope everything   one era, everything a pair can do
  psync-model check --fault attach-loses-pending   the shortest way to the harm a flaw does
  psync-model check --scope everything --engine survey   on all processors, in less memory
  psync-model check --scope fan --engine survey --symmetry   two replicas that change places are no news
  psync-model check --engine stateright            the other engine's opinion on the same counts
  psync-model check --era psync2-v7 --as-shipped   the flaws that real servers of an era still have: fails
  psync-model check --scope smoke --pings on --backlog 2 --lag 4   a scope of one's own
  psync-model check --scope everything --timeout 10m   as far as ten minutes go

A scope bounds how far things may drift apart, never how often they happen: `--scope ?` lists them.
A counterexample is kept as a case for `psync-conformance replay` and `explore`, as SVG, and as a trace (ITF) for
viewers. A server that is not wrong in this way does not follow the case to its end.

Verdict and exit status:
  complete   every state of the scope was visited and nothing is violated: 0, proved within the bounds
  violated   something is, and the shortest way to it is shown: 1
  bounded    the work was stopped before its end, by --max-states, --timeout or the lack of memory, and until there
             nothing was violated: 2, nothing is proved
A wrong question is answered with 2 as well, and says so on standard error.";

/// The most states whose graph is judged for L1 in a suite, where nobody waits minutes for one scope.
const MOST_FOR_LIVENESS_IN_SUITE: usize = 100_000;

/// What to check.
#[derive(Debug, clap::Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Args {
    /// The generation of the protocol; may be given several times
    #[arg(long, value_enum)]
    era: Vec<Era>,
    /// How far the check goes: `replay` unless told otherwise, and `errors` with --as-shipped; or `standard` or `wide`,
    /// which are surveys of many scopes
    #[arg(long, value_parser = wanted_named)]
    scope: Option<Wanted>,
    /// Check the era with the flaws that its servers still have, until somebody outside could see one
    #[arg(long, conflicts_with = "fault")]
    as_shipped: bool,
    /// A flaw to put into the specification; `psync-model faults` lists them
    #[arg(long, value_parser = fault_named)]
    fault: Option<&'static Fault>,
    /// Who visits the states: a walk unless told otherwise
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// How many threads a survey has: all processors unless told otherwise
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Let worlds that differ only in which node is which count as one: for scopes with several nodes
    #[arg(long)]
    symmetry: bool,
    /// Stop after so many states of an era and scope; what was not violated by then is not proved
    #[arg(long)]
    max_states: Option<NonZeroUsize>,
    /// Stop after so long with an era and scope (`90s`, `10m`); what was not violated by then is not proved
    #[arg(long, value_parser = duration)]
    timeout: Option<Duration>,
    /// Stop with so much memory (`8GiB`) instead of nine tenths of what is free; what was not violated by then is not proved
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory: Option<u64>,
    /// Print everything as one JSON document instead of text
    #[arg(long)]
    json: bool,
    /// Where counterexamples are kept
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    out: PathBuf,
    #[command(flatten)]
    changes: Changes,
}

impl Args {
    fn eras(&self) -> Vec<Era> {
        match (self.era.as_slice(), self.fault, self.suite()) {
            ([], Some(fault), _) => vec![fault.home()],
            ([], None, Some(suite)) => suite.eras.to_vec(),
            ([], None, None) => Era::ALL.to_vec(),
            (eras, _, _) => eras.to_vec(),
        }
    }

    fn suite(&self) -> Option<&'static Suite> {
        match self.scope {
            Some(Wanted::Suite(suite)) => Some(suite),
            _ => None,
        }
    }

    fn engine(&self) -> Engine {
        let usual = self.suite().map_or(Engine::Walk, |_| Engine::Survey);
        self.engine.unwrap_or(usual)
    }

    fn scopes(&self) -> anyhow::Result<Vec<Chosen>> {
        let usual = if self.as_shipped { "errors" } else { "replay" };
        let wanted = match self.scope {
            Some(Wanted::Scope(named)) => vec![named.name],
            Some(Wanted::Suite(suite)) => suite.scopes.to_vec(),
            None => vec![usual],
        };
        let chosen = wanted.into_iter().map(|name| {
            let named = scope::named(name).expect("suites and defaults name scopes that exist");
            let mut chosen = self.changes.on(named)?;
            if self.symmetry {
                chosen.name.push_str(", up to symmetry");
            }
            Ok(chosen)
        });
        chosen.collect()
    }

    fn search(&self, era: Era, scope: &Chosen) -> anyhow::Result<Search> {
        let book = rulebook(era, self.fault)?;
        if !self.as_shipped {
            return Ok(Search::new(book, scope.scope));
        }
        let visible = Property::ALL.into_iter();
        let visible = visible.filter(|property| property.is_visible_outside());
        Ok(Search::new(book.as_shipped(), scope.scope).watching(visible))
    }

    fn job(&self, era: Era, scope: &Chosen) -> anyhow::Result<Job> {
        let surveys = self.engine() == Engine::Survey;
        ensure!(
            self.threads.is_none() || surveys,
            "only a survey has a choice of threads: --engine survey --threads N"
        );
        ensure!(
            !self.symmetry || surveys,
            "only a survey can do without the names of the nodes: --engine survey --symmetry"
        );
        let search = self.search(era, scope)?;
        Ok(Job {
            era,
            fault: self.fault,
            as_shipped: self.as_shipped,
            search: if self.symmetry {
                search.symmetric()
            } else {
                search
            },
            scope: scope.clone(),
            most_for_liveness: match self.suite() {
                Some(_) => MOST_FOR_LIVENESS_IN_SUITE,
                None => MOST_IN_MEMORY,
            },
            max_states: self.max_states.map(usize::from),
            timeout: self.timeout,
            memory: self.memory,
            threads: self.threads.unwrap_or(Means::all().threads),
        })
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (eras, scopes) = (args.eras(), args.scopes()?);
    let mut worst = Outcome::Proved;
    let mut matrix: Matrix = Vec::new();
    let mut records = Vec::new();
    let mut total = Total::default();
    for &era in &eras {
        for scope in &scopes {
            let job = args.job(era, scope)?;
            let found = job.run(args.engine());
            let kept = kept(args, &job, &found);
            worst = worst.max(found.outcome());
            total.add(&found);
            if args.json {
                records.push(record::of(&job, args.engine(), &found, kept.as_ref())?);
            } else if args.suite().is_some() && found.outcome() != Outcome::Violated {
                print_row(era, &scope.name, &found);
            } else {
                print(&job, &found, kept.as_ref(), eras.len() == 1)?;
            }
            add_verdicts(&mut matrix, era, found.verdicts);
        }
    }
    if args.json {
        record::print(worst, &records)?;
        return Ok(worst);
    }
    if args.suite().is_some() {
        total.print();
    }
    if matrix.len() > 1 || args.suite().is_some() {
        print_matrix(&matrix);
    }
    let scope = match args.suite() {
        Some(suite) => suite.name,
        None => &scopes[0].name,
    };
    println!("{}", summary(worst, &matrix, scope));
    Ok(worst)
}

/// What became of each property in each era, over all scopes.
type Matrix = Vec<(Era, Vec<(Property, Verdict)>)>;

/// Adds what one scope says of an era: a property is proved where every scope that was checked proves it.
fn add_verdicts(matrix: &mut Matrix, era: Era, verdicts: Vec<(Property, Verdict)>) {
    let Some((_, known)) = matrix.last_mut().filter(|(last, _)| *last == era) else {
        matrix.push((era, verdicts));
        return;
    };
    for ((_, known), (_, other)) in known.iter_mut().zip(verdicts) {
        if other.weight() > known.weight() {
            *known = other;
        }
    }
}

/// What all scopes of a suite came to.
#[derive(Debug, Default)]
struct Total {
    states: u64,
    edges: u64,
    elapsed: Duration,
}

impl Total {
    fn add(&mut self, found: &Findings) {
        self.states += found.states as u64;
        self.edges += found.edges;
        self.elapsed += found.elapsed;
    }

    fn print(&self) {
        println!(
            "  {} states and {} edges in {}; at most {} of memory",
            HumanCount(self.states),
            HumanCount(self.edges),
            readable_duration(self.elapsed),
            memory::peak().map_or("?".to_owned(), readable_bytes),
        );
        let most = HumanCount(MOST_FOR_LIVENESS_IN_SUITE as u64);
        println!("  L1 was judged in scopes of at most {most} states\n");
    }
}

/// One scope of a suite in one line.
fn print_row(era: Era, scope: &str, found: &Findings) {
    println!(
        "  {:<10}{scope:<16}{:>13} states {:>14} edges  depth {:>3}  {:>8}  {}",
        era.name(),
        HumanCount(found.states as u64).to_string(),
        HumanCount(found.edges).to_string(),
        found.depth,
        readable_duration(found.elapsed),
        match found.outcome() {
            Outcome::Proved => "complete".to_owned(),
            _ => found.completeness(),
        }
    );
}

/// Keeps the counterexample, if there is one. That it cannot be kept does not change the verdict.
fn kept(args: &Args, job: &Job, found: &Findings) -> Option<Kept> {
    let (steps, broken) = found.counterexample()?;
    let case = job.case(steps, &broken);
    let stem = job.file_stem();
    let about = format!("the shortest way to break {broken} in {}", job.title());
    match keep(&case, &args.out, &stem, &about) {
        Ok(kept) => Some(kept),
        Err(error) => {
            eprintln!("psync-model: the counterexample could not be kept: {error:#}");
            None
        }
    }
}

/// The last line.
fn summary(worst: Outcome, matrix: &Matrix, scope: &str) -> String {
    let eras: Vec<_> = matrix.iter().map(|(era, _)| era.name()).collect();
    let what = format!("{}, scope {scope}", eras.join(", "));
    let open = matrix
        .iter()
        .flat_map(|(_, verdicts)| verdicts)
        .any(|(_, verdict)| matches!(verdict, Verdict::NotJudged(_)));
    match (worst, open) {
        (Outcome::Proved, false) => format!("proved within bounds: {what}"),
        (Outcome::Proved, true) => {
            format!("proved within bounds, except what was not judged: {what}")
        }
        (Outcome::Violated, _) => format!("VIOLATED: {what}"),
        (Outcome::Stopped, _) => format!("stopped before the end, nothing is proved: {what}"),
    }
}

/// Everything about one era; the properties only where no matrix follows.
fn print(job: &Job, found: &Findings, kept: Option<&Kept>, alone: bool) -> anyhow::Result<()> {
    println!("era {}, scope {}", job.era, job.scope.name);
    if let Some(fault) = job.fault {
        println!("  wrong on purpose: {} ({})", fault.sentence, fault.source);
    }
    if alone {
        print_properties(&found.verdicts);
    }
    if let (Some(fired), End::Complete) = (&found.fired, found.end) {
        print_coverage(fired, job.era, &job.scope.scope, alone);
    }
    println!("  {}", found.completeness());
    print_counts(found);
    print_branching(found);
    print_bounds(&job.scope.scope, found.states);
    println!();
    if let Some(violation) = &found.violation {
        print_violation(job, violation)?;
    }
    if let Some(stuck) = &found.stuck {
        print_stuck(job, stuck)?;
    }
    if let Some(kept) = kept {
        let case = kept.case.display();
        let then = if kept.is_driven {
            format!("`psync-conformance replay {case}`")
        } else {
            format!("`psync-model explore {case}`; the judge cannot drive all of its steps yet")
        };
        println!("  kept as {case} ({then}),");
        println!(
            "  {} and {} (ITF)\n",
            kept.svg.display(),
            kept.itf.display()
        );
    }
    Ok(())
}

fn print_violation(job: &Job, violation: &Violation) -> anyhow::Result<()> {
    let steps = violation.steps.len();
    println!("  The shortest counterexample has {steps} steps:\n");
    counterexample::print(&job.search, &violation.steps)?;
    for property in Property::in_bits(violation.broken) {
        print_broken(property);
    }
    print_source(job);
    Ok(())
}

fn print_stuck(job: &Job, stuck: &Stuck) -> anyhow::Result<()> {
    let steps = stuck.steps.len();
    println!("  After these {steps} steps the world is calm, and yet the replica never arrives:\n");
    counterexample::print(&job.search, &stuck.steps)?;
    println!("  then: {}", counterexample::goes_on(&stuck.ending));
    print_broken(Property::L1);
    print_source(job);
    Ok(())
}

fn print_broken(property: Property) {
    println!(
        "  broken: {property:?}, {} (PROTOCOL §6)",
        property.sentence()
    );
}

fn print_source(job: &Job) {
    match job.fault {
        Some(fault) => println!(
            "  because of: {}, {} ({})\n",
            fault.name, fault.sentence, fault.source
        ),
        None if job.as_shipped => {
            println!(
                "  because of a flaw that servers of era {} still have:",
                job.era
            );
            for flaw in job.era.shipped_flaws() {
                println!("  {flaw}");
            }
            println!();
        }
        None => println!("  because of: the specification of this era, as it stands\n"),
    }
}
