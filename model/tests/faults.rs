//! Teeth: every fault is caught, by the property it names, and every property is broken by some fault.
//!
//! A property that no wrong rulebook breaks proves nothing; a fault that no property catches is not a fault.

use expect_test::expect;
use psync_model::catch::{LADDER, MAX_NEAREST, TEETH};
use psync_model::fault::{FAULTS, Fault};
use psync_model::liveness::{NotProved, prove};
use psync_model::property::Property;
use psync_model::rulebook::{Era, Rulebook};
use psync_model::scope::{self, Scope};
use psync_model::search::Search;
use psync_model::walk::{Limits, walk};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::panic::resume_unwind;
use std::thread;

/// Where an outsider looks before giving up, beside the scope in which the fault is caught: the largest is
/// left out to keep the test short.
const OUTSIDE_LADDER: [&str; 2] = ["smoke", "restarts"];

/// The most worlds that are kept in memory for L1.
const MAX_WORLDS: usize = 1_000_000;

fn scope_named(name: &str) -> Scope {
    scope::named(name)
        .expect("the ladder names scopes that exist")
        .scope
}

/// The length of the shortest counterexample to any of `properties`, with all those broken by its last step.
fn shortest(book: Rulebook, scope: Scope, properties: &[Property]) -> Option<(usize, u32)> {
    if properties == [Property::L1] {
        return match prove(Search::new(book, scope), MAX_WORLDS) {
            Ok(_) => None,
            Err(NotProved::Stuck(stuck)) => Some((stuck.steps.len(), Property::L1.bit())),
            Err(other) => panic!("L1 could not be judged: {other}"),
        };
    }
    let search = Search::new(book, scope).watching(properties.iter().copied());
    let limits = Limits {
        max_states: MAX_NEAREST,
        ..Limits::PROVE
    };
    let walk = walk(&search, limits, |_| true);
    let violation = walk.violations.first()?;
    Some((violation.steps.len(), violation.broken))
}

/// The first scope of a ladder in which one of `properties` falls, with the length and what fell.
fn smallest(
    book: Rulebook,
    ladder: &[&'static str],
    properties: &[Property],
) -> Option<(&'static str, usize, u32)> {
    ladder.iter().find_map(|name| {
        let (length, broken) = shortest(book, scope_named(name), properties)?;
        Some((*name, length, broken))
    })
}

/// What is watched to catch a fault: everything, or L1, which needs the whole graph.
fn watched(fault: &Fault) -> Vec<Property> {
    if fault.property == Property::L1 {
        vec![Property::L1]
    } else {
        Property::ALL.to_vec()
    }
}

fn visible_outside() -> Vec<Property> {
    let edges = Property::ALL.into_iter().filter(|p| *p != Property::L1);
    edges.filter(|p| p.is_visible_outside()).collect()
}

fn row(fault: &Fault, era: Era, book: Rulebook) -> String {
    let (scope, length, broken) = smallest(book, &LADDER, &watched(fault))
        .unwrap_or_else(|| panic!("{} is not caught in era {era}", fault.name));
    let names: Vec<String> = Property::in_bits(broken)
        .map(|property| format!("{property:?}"))
        .collect();
    assert!(
        broken & fault.property.bit() != 0,
        "{} in era {era} should break {:?}, and breaks {}",
        fault.name,
        fault.property,
        names.join(" ")
    );
    let outside = if fault.property == Property::L1 {
        Some(length)
    } else {
        let caught_in = [scope];
        let ladder = OUTSIDE_LADDER.iter().chain(&caught_in).copied();
        let found = ladder
            .map(|name| shortest(book, scope_named(name), &visible_outside()))
            .find(Option::is_some);
        found.flatten().map(|(length, _)| length)
    };
    let outside = outside.map_or_else(|| "-".to_owned(), |length| length.to_string());
    let eras = era.name();
    format!(
        "{:36} {eras:10} {:10} {scope:9} {length:3} {outside:>4}",
        fault.name,
        names.join(" ")
    )
}

#[test]
fn every_fault_is_caught_by_the_property_it_names() {
    let pairs: Vec<_> = FAULTS
        .iter()
        .flat_map(|fault| Era::ALL.map(|era| (fault, era)))
        .filter_map(|(fault, era)| Some((fault, era, fault.in_era(era)?)))
        .collect();
    // Two at a time: those that only a large scope shows take most of the time.
    let rows = thread::scope(|scope| {
        let every_second = |first: usize| {
            let pairs = pairs.iter().skip(first).step_by(2);
            let rows = pairs.map(|&(fault, era, book)| row(fault, era, book));
            scope.spawn(move || rows.collect::<Vec<_>>())
        };
        [every_second(0), every_second(1)]
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let mut table = String::new();
    for place in 0..pairs.len() {
        writeln!(table, "{}", rows[place % 2][place / 2]).unwrap();
    }
    // Fault, era, properties broken at once, smallest scope, steps, steps until somebody outside can see it.
    expect![[r#"
        backlog-upper-bound-exclusive        psync      L2         smoke       6    6
        backlog-upper-bound-exclusive        psync2     L2         smoke       6    6
        backlog-upper-bound-exclusive        psync2-v7  L2         smoke       6    6
        backlog-upper-bound-one-beyond       psync      S16        smoke       6    6
        backlog-upper-bound-one-beyond       psync2     S16        smoke       6    6
        backlog-upper-bound-one-beyond       psync2-v7  S16        smoke       6    6
        backlog-upper-bound-by-size          psync      S16        smoke       6    6
        backlog-upper-bound-by-size          psync2     S16        smoke       6    6
        backlog-upper-bound-by-size          psync2-v7  S16        smoke       6    6
        backlog-lower-bound-ignored          psync      S16        smoke       6    6
        backlog-lower-bound-ignored          psync2     S16        smoke       6    6
        backlog-lower-bound-ignored          psync2-v7  S16        smoke       6    6
        replication-id-not-checked           psync      S16        smoke       6    6
        replication-id-not-checked           psync2     S16        smoke       6    6
        replication-id-not-checked           psync2-v7  S16        smoke       6    6
        secondary-limit-one-short            psync2     L2         failover    4    4
        secondary-limit-one-short            psync2-v7  L2         restarts    5    5
        secondary-limit-ignored              psync2     S16        failover    7    7
        secondary-limit-ignored              psync2-v7  S16        restarts    8    8
        label-at-request                     psync      S4         smoke       4    4
        label-at-request                     psync2     S4         smoke       4    4
        label-at-request                     psync2-v7  S4         smoke       4    4
        full-resync-offset-one-more          psync      S4         smoke       3    3
        full-resync-offset-one-more          psync2     S4         smoke       3    3
        full-resync-offset-one-more          psync2-v7  S4         smoke       3    3
        attach-label-current                 psync      S4         replay      7    7
        attach-label-current                 psync2     S4         replay      7    7
        attach-label-current                 psync2-v7  S4         replay      7    7
        attach-loses-pending                 sync       S4         replay      7    7
        attach-loses-pending                 psync      S4         replay      7    7
        attach-loses-pending                 psync2     S4         replay      7    7
        attach-loses-pending                 psync2-v7  S4         replay      7    7
        accumulation-starts-late             sync       S4         smoke       4    4
        accumulation-starts-late             psync      S4         smoke       4    4
        accumulation-starts-late             psync2     S4         smoke       4    4
        accumulation-starts-late             psync2-v7  S4         smoke       4    4
        expired-backlog-keeps-id             psync2     S7         smoke       6    -
        expired-backlog-keeps-id             psync2-v7  S7         smoke       6   12
        backlog-birth-skips-no-byte          psync      S1 S2 S7   smoke      13   13
        primary-adopts-saved-id              psync2     S1 S7      restarts    6    -
        primary-adopts-saved-id              psync2-v7  S1 S7      restarts    6    -
        backlog-differs-from-stream          psync      S5         smoke       3   12
        backlog-differs-from-stream          psync2     S5         smoke       3   12
        backlog-differs-from-stream          psync2-v7  S5         smoke       3   12
        stream-before-first-acknowledgement  psync2     S10        smoke       4    4
        stream-before-first-acknowledgement  psync2-v7  S10        smoke       4    4
        last-command-withheld                sync       L1         smoke       6    6
        last-command-withheld                psync      L1         smoke       9    9
        last-command-withheld                psync2     L1         smoke       9    9
        last-command-withheld                psync2-v7  L1         smoke       9    9
        uncounted-byte-in-stream             psync      S10        smoke       5    5
        uncounted-byte-in-stream             psync2     S10        smoke       5    5
        uncounted-byte-in-stream             psync2-v7  S10        smoke       5    5
        request-not-plus-one                 psync      S3         smoke      12   12
        request-not-plus-one                 psync2     S3         smoke      12   12
        request-not-plus-one                 psync2-v7  S3         smoke      12   12
        half-command-counted                 psync2     S1 S7 S9   smoke       8   13
        half-command-counted                 psync2-v7  S1 S7 S9   smoke       8   13
        label-adopted-before-load            psync      S1 S2 S7   smoke       5    5
        label-adopted-before-load            psync2     S1 S2 S7   smoke       5    5
        label-adopted-before-load            psync2-v7  S1 S2 S7   smoke       5    5
        data-discarded-before-snapshot       psync      S14        smoke      15   15
        data-discarded-before-snapshot       psync2     S14        smoke      15   15
        data-discarded-before-snapshot       psync2-v7  S1 S14     smoke      15   15
        restart-label-too-new                psync2     S1         smoke       4    -
        restart-label-too-new                psync2-v7  S1         smoke       4    7
        continue-id-not-adopted              psync2     S13        failover   11   15
        continue-id-not-adopted              psync2-v7  S13        restarts   11    -
        offset-reset-on-continue             psync      S15        smoke      12   16
        offset-reset-on-continue             psync2     S1 S5 S7 S15 smoke      12   18
        offset-reset-on-continue             psync2-v7  S1 S5 S7 S15 smoke      12   18
        cached-primary-lost                  psync      L2         smoke       8    8
        cached-primary-lost                  psync2     L2         smoke       8    8
        cached-primary-lost                  psync2-v7  L2         smoke       8    8
        no-acknowledgement-after-continue    psync      L1         smoke      12   12
        no-acknowledgement-after-continue    psync2     L1         smoke      12   12
        no-acknowledgement-after-continue    psync2-v7  L1         smoke      12   12
        same-id-after-promotion              psync2     S1 S2 S5 S8 failover    9    9
        same-id-after-promotion              psync2-v7  S1 S2 S5 S8 failover    9    9
        former-id-forgotten-at-promotion     psync2     L2         failover    4    4
        former-id-forgotten-at-promotion     psync2-v7  L2         failover    4    4
        promotion-frees-backlog              psync2     L2         failover    4    4
        promotion-frees-backlog              psync2-v7  L2         failover    4    4
        demotion-loses-offset                psync2     S1 S5 S15  failover    3    8
        demotion-loses-offset                psync2-v7  S1 S5 S15  failover    3    4
        full-load-keeps-replicas             psync2     S5         chain      17   21
        full-load-keeps-replicas             psync2-v7  S5         chain      17   21
        no-backlog-after-continue            psync2     S13        role-restarts  13    -
        no-backlog-after-continue            psync2-v7  S13        role-restarts  13    -
        label-lost-on-passing-error          psync2     L2         errors     12   12
        label-lost-on-passing-error          psync2-v7  L2         errors     12   12
        acknowledges-unapplied               psync2     S12        smoke      10    -
        acknowledges-unapplied               psync2-v7  S12        smoke      10    -
        sync-fallback-keeps-id               psync      S1 S7      errors     15   20
        sync-fallback-keeps-id               psync2     S1 S5 S7   errors     13   20
        sync-fallback-keeps-id               psync2-v7  S1 S5 S7   errors     13   20
        transaction-counted-by-command       psync2     S1 S7 S9   transactions   8   13
        transaction-counted-by-command       psync2-v7  S1 S7 S9   transactions   8   13
        transaction-left-open                psync2     S1 S7 S9   handover    3    8
        transaction-left-open                psync2-v7  S1 S7 S9   handover    3    4
        stream-database-not-saved            psync2     S1 S2 S7 S11 databases  15   15
        stream-database-not-saved            psync2-v7  S1 S2 S7 S11 databases  15   15
        full-resync-without-select           sync       S1 S11     databases  14   14
        full-resync-without-select           psync      S1 S2 S7 S11 databases   9    9
        promotion-without-select             psync2     S1 S2 S7 S11 succession  15   15
        promotion-without-select             psync2-v7  S1 S2 S7 S11 succession  15   15
        backlog-birth-keeps-id               psync2     S6         failover   13   15
        backlog-birth-keeps-id               psync2-v7  S6         role-restarts  10   16
        renaming-keeps-replicas              psync2-v7  S4         restart    16   16
    "#]]
    .assert_eq(&table);
}

#[test]
fn every_property_is_broken_by_some_fault() {
    let mut table = String::new();
    for (property, name, scope) in TEETH {
        let fault = psync_model::fault::named(name).expect("the table names faults that exist");
        let book = fault
            .in_era(fault.home())
            .expect("a fault exists in its home era");
        let length = shortest(book, scope_named(scope), &[*property]).map(|found| found.0);
        writeln!(table, "{property:?} {name} {length:?}").unwrap();
    }
    let covered: BTreeSet<Property> = TEETH.iter().map(|row| row.0).collect();
    assert_eq!(covered, BTreeSet::from(Property::ALL));
    expect![[r#"
        S1 restart-label-too-new Some(4)
        S2 label-adopted-before-load Some(5)
        S3 request-not-plus-one Some(12)
        S4 label-at-request Some(4)
        S5 backlog-differs-from-stream Some(3)
        S6 restart-label-too-new Some(5)
        S7 expired-backlog-keeps-id Some(6)
        S8 primary-adopts-saved-id Some(7)
        S9 half-command-counted Some(8)
        S10 uncounted-byte-in-stream Some(5)
        S11 full-resync-without-select Some(9)
        S12 acknowledges-unapplied Some(10)
        S13 full-load-keeps-replicas Some(19)
        S14 data-discarded-before-snapshot Some(15)
        S15 offset-reset-on-continue Some(12)
        S16 replication-id-not-checked Some(6)
        L1 last-command-withheld Some(9)
        L2 cached-primary-lost Some(8)
    "#]]
    .assert_eq(&table);
}
