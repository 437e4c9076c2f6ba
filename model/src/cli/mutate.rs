//! `psync-model mutate`: take every guard away in turn, and say what notices.

use super::Outcome;
use super::progress::Meter;
use clap::ValueEnum;
use psync_model::mutate::{Fate, judge, ladder, mutants};
use psync_model::rules::guard::{Mutation, Survival};
use psync_model::rules::{Guard, Mutant};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const DETAILS: &str = "\
Every guard of every rule is switched off (it always holds) and negated (it holds where it should not), and the
scopes are visited again. What notices is named: a property, with the length of the shortest counterexample; a
rule that no longer fires; or the bounds, when the worlds grow without end. What nothing notices is argued for
in rules/guard.rs; the exit status is 1 if it is not, or if what is argued for is noticed after all.

All of it takes some minutes on two cores.";

/// Which guards.
#[derive(Debug, clap::Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Args {
    /// Only these guards
    #[arg(long = "guard", value_enum, value_name = "NAME")]
    guards: Vec<Guard>,
    /// How many to look at at a time: as many as there are processors unless told otherwise
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let guards = match args.guards.as_slice() {
        [] => Guard::value_variants(),
        some => some,
    };
    // A mutant that leaves the representation panics, which is an answer and not a mishap.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let fates = judge_all(&mutants(guards), args.jobs);
    std::panic::set_hook(hook);
    print(&fates)
}

/// Judges every mutant, on several threads; the order of the answers is that of the mutants.
fn judge_all(mutants: &[Mutant], jobs: Option<NonZeroUsize>) -> Vec<(Mutant, Fate)> {
    let jobs = jobs.or_else(|| thread::available_parallelism().ok());
    let meter = Mutex::new(Meter::new("mutate"));
    let say = |text: String| {
        if let Ok(mut meter) = meter.lock() {
            meter.say(|| text);
        }
    };
    say("visiting the scopes with every guard in its place".into());
    let ladder = ladder();
    let (next, fates) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..jobs.map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(&mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fate = judge(mutant, &ladder);
                    if let Ok(mut fates) = fates.lock() {
                        fates.push((mutant, fate));
                        say(format!(
                            "{} of {} mutants judged",
                            fates.len(),
                            mutants.len()
                        ));
                    }
                }
            });
        }
    });
    let mut fates = fates.into_inner().unwrap_or_default();
    fates.sort_by_key(|(mutant, _)| *mutant);
    fates
}

fn print(fates: &[(Mutant, Fate)]) -> Outcome {
    println!("{:<26} {:<8} what notices", "guard", "mutation");
    let (mut killed, mut argued, mut open) = (0, 0, 0);
    for (mutant, fate) in fates {
        let (name, _) = mutant.guard.name_and_sentence();
        let mutation = match mutant.mutation {
            Mutation::Off => "off",
            Mutation::Negated => "negated",
        };
        let (said, is_open) = describe(*mutant, fate);
        println!("{name:<26} {mutation:<8} {said}");
        match fate {
            _ if is_open => open += 1,
            Fate::Killed(..) => killed += 1,
            _ => argued += 1,
        }
    }
    println!();
    println!(
        "{} mutants: {killed} noticed, {argued} argued for, {open} open",
        fates.len()
    );
    if open == 0 {
        Outcome::Proved
    } else {
        Outcome::Violated
    }
}

/// What to say of a mutant, and whether it leaves a question open.
fn describe(mutant: Mutant, fate: &Fate) -> (String, bool) {
    match (fate, mutant.survival()) {
        (Fate::Killed(noticed, era, scope), None) => (format!("{noticed} ({scope}, {era})"), false),
        (Fate::Killed(noticed, era, scope), Some(_)) => (
            format!("{noticed} ({scope}, {era}), although an argument says that nothing does"),
            true,
        ),
        (Fate::Survived, Some(Survival::Harmless(why))) => (format!("nothing: {why}"), false),
        (Fate::Indistinct, Some(Survival::Implied(why))) => {
            (format!("nothing changes: {why}"), false)
        }
        (Fate::Survived, _) => ("NOTHING, though the worlds are others".into(), true),
        (Fate::Indistinct, _) => ("NOTHING, and nothing changes".into(), true),
    }
}
