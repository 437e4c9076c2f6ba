//! Every guard of every rule has a name, goes through one function, and is missed when it is taken away.

use clap::ValueEnum;
use expect_test::expect;
use psync_model::mutate::{Fate, Rung, judge, mutants};
use psync_model::rulebook::Era;
use psync_model::rules::Guard;
use psync_model::scope;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The source of the rules: file name and lines.
fn sources() -> Vec<(String, Vec<String>)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folder = fs::read_dir(source.join("rules")).expect("the rules have a folder");
    let rules = folder.map(|entry| entry.expect("the folder can be read").path());
    let files = rules.filter(|path| !path.ends_with("guard.rs"));
    files
        .chain([source.join("step.rs")])
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file is text");
            let name = path.file_name().expect("a file has a name");
            let lines = text.lines().map(|line| line.trim().to_owned());
            (name.to_string_lossy().into_owned(), lines.collect())
        })
        .collect()
}

/// A rule ends early for want of something it needs (`?`, `let … else`), or by a guard that has a name.
#[test]
fn nothing_ends_a_rule_but_a_guard_with_a_name() {
    let mut nameless = Vec::new();
    for (file, lines) in sources() {
        for (number, pair) in lines.windows(2).enumerate() {
            let [before, line] = pair else {
                unreachable!("windows of two")
            };
            let gives_up = line.starts_with("return None") && !before.ends_with("else {");
            let hides = line.contains(".filter(") && line.ends_with("?;");
            if gives_up || hides {
                nameless.push(format!("{file}:{}: {line}", number + 2));
            }
        }
    }
    assert!(nameless.is_empty(), "guards without a name: {nameless:#?}");
}

#[test]
fn every_guard_stands_in_exactly_one_place() {
    let sources = sources();
    for guard in Guard::value_variants() {
        let spelled = format!("Guard::{guard:?},");
        let places = sources.iter().flat_map(|(_, lines)| lines);
        let times: usize = places.map(|line| line.matches(&spelled).count()).sum();
        assert_eq!(times, 1, "{spelled}");
    }
}

/// In two small scopes; `psync-model mutate` looks in all of them.
#[test]
fn guards_are_missed() {
    let scopes = ["smoke", "errors"].map(|name| scope::named(name).expect("it exists"));
    let rungs = scopes.map(|scope| [Era::Psync, Era::Psync2V7].map(|era| Rung::new(era, scope)));
    let rungs = rungs.into_iter().flatten().collect::<Vec<_>>();
    let mut table = String::new();
    for mutant in mutants(Guard::value_variants()) {
        let Fate::Killed(noticed, ..) = judge(mutant, &rungs) else {
            continue;
        };
        assert_eq!(mutant.survival(), None, "{mutant:?} is noticed after all");
        let (name, _) = mutant.guard.name_and_sentence();
        writeln!(table, "{name} {:?}: {noticed}", mutant.mutation).expect("a string takes it");
    }
    expect![[r#"
        write-to-primary Off: S1 in 7 steps
        write-to-primary Negated: S1 in 7 steps
        cut-whole Negated: accept-partial/current never fires
        expire-held Negated: expire-backlog never fires
        expire-at-primary Negated: expire-backlog never fires
        expire-unused Off: S4 in 5 steps
        expire-unused Negated: S4 in 5 steps
        resize-discards Negated: resize-backlog never fires
        resize-of-content Negated: resize-backlog never fires
        accept-held Off: S3 in 13 steps
        accept-held Negated: S3 in 13 steps
        decline-lacking Off: L2 in 11 steps
        decline-lacking Negated: L2 in 11 steps
        decline-unjoined Negated: expire-backlog never fires
        answer-serving Negated: expire-backlog never fires
        refuse-unserved Off: L1 in 0 steps
        refuse-unserved Negated: L1 in 0 steps
        hear-after-snapshot Negated: receive-acknowledgement never fires
        primary-notices-cut Off: S4 in 6 steps
        primary-notices-cut Negated: S4 in 6 steps
        primary-knew-replica Negated: accept-partial/current never fires
        ask-when-idle Off: S1 in 14 steps
        ask-when-idle Negated: cut-link never fires
        ask-no-third Negated: cut-link never fires
        continue-when-asked Negated: receive-continue never fires
        full-resync-when-asked Negated: accept-partial/current never fires
        load-when-transferring Off: L1 in 5 steps
        load-when-transferring Negated: accept-partial/current never fires
        head-before-tail Off: S1 in 9 steps
        head-before-tail Negated: read-head never fires
        head-of-write Negated: read-head never fires
        read-when-connected Off: S4 in 6 steps
        read-when-connected Negated: S4 in 6 steps
        read-when-online Negated: read-head never fires
        read-whole Negated: read-head never fires
        read-sent Negated: read-head never fires
        acknowledge-in-era Negated: receive-acknowledgement never fires
        acknowledge-when-connected Off: S12 in 17 steps
        acknowledge-when-connected Negated: S12 in 17 steps
        acknowledge-whole Negated: L1 in 6 steps
        acknowledge-news Negated: receive-acknowledgement never fires
        replica-notices-cut Off: there is no end of worlds
        replica-notices-cut Negated: L1 in 2 steps
        replica-had-link Negated: stranger-asks/below-first never fires
        start-once Negated: accept-partial/current never fires
        start-in-era Negated: start-snapshot/disk never fires
        start-waited-for Off: there is no end of worlds
        start-waited-for Negated: accept-partial/current never fires
        start-knows-place Negated: accept-partial/current never fires
        start-understood Negated: accept-partial/current never fires
        join-waited-for Off: S4 in 10 steps
        join-waited-for Negated: S4 in 10 steps
        fail-that-framing Negated: fail-snapshot/disk never fires
        fail-waited-for Negated: fail-snapshot/disk never fires
        stranger-asks-primary Negated: stranger-asks/below-first never fires
        stranger-asks-in-quiet Negated: stranger-asks/below-first never fires
        stranger-leaves-primary Negated: stranger-leaves never fires
        stranger-has-gone Off: there is no end of worlds
        stranger-has-gone Negated: write never fires
    "#]]
    .assert_eq(&table);
}
