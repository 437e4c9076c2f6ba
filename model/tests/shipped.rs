//! The eras as their servers are shipped: the check finds the flaw, and the same scope without it is proved.

use expect_test::expect;
use psync_model::liveness::prove;
use psync_model::property::Property;
use psync_model::rulebook::{Era, Rulebook};
use psync_model::scope;
use psync_model::search::Search;
use psync_model::step::Step;
use psync_model::walk::{End, Limits, Violation, walk};
use std::fmt::Write;

const WITH_PSYNC: [Era; 3] = [Era::Psync, Era::Psync2, Era::Psync2V7];

const MAX_WORLDS: usize = 100_000;

fn search(book: Rulebook) -> Search {
    let errors = scope::named("errors").expect("the scope exists");
    Search::new(book, errors.scope)
}

fn nearest(search: &Search) -> Option<Violation> {
    let limits = Limits {
        max_states: MAX_WORLDS,
        ..Limits::PROVE
    };
    walk(search, limits, |_| true).violations.into_iter().next()
}

#[test]
fn the_fallback_to_sync_repeats_bytes_as_shipped() {
    let mut table = String::new();
    for era in WITH_PSYNC {
        let shipped = search(era.rulebook().as_shipped());
        let latent = nearest(&shipped).expect("the label is false");
        let visible = Property::ALL.into_iter().filter(|p| p.is_visible_outside());
        let seen = nearest(&shipped.watching(visible)).expect("bytes are sent twice");
        assert!(matches!(
            seen.steps.last(),
            Some(Step::AcceptPartial { .. })
        ));
        let names: Vec<_> = Property::in_bits(seen.broken).collect();
        let (first, steps) = (latent.steps.len(), seen.steps.len());
        writeln!(table, "{era} {first} {steps} {names:?}").expect("a string takes everything");
    }
    expect![[r#"
        psync 15 20 [S3]
        psync2 13 20 [S3]
        psync2-v7 13 20 [S3]
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_transaction_that_ends_in_a_change_of_roles_parts_the_data_as_shipped() {
    let handover = scope::named("handover").expect("the scope exists");
    let shipped = Era::Psync2V7.rulebook().as_shipped();
    let book = Rulebook {
        transaction_end: shipped.transaction_end,
        ..Era::Psync2V7.rulebook()
    };
    let search = Search::new(book, handover.scope).watching([Property::S3]);
    let seen = nearest(&search).expect("who is continued has other data");
    let steps: Vec<_> = seen.steps.iter().map(Step::to_string).collect();
    expect![[r#"
        ask
        decline-partial/no-label
        start-snapshot/disk
        finish-snapshot
        follow-in-transaction
        receive-full-resync
        receive-snapshot
        ask
        accept-partial/current
    "#]]
    .assert_eq(&(steps.join("\n") + "\n"));
}

#[test]
fn the_mended_fallback_is_proved() {
    for era in WITH_PSYNC {
        let clean = search(era.rulebook());
        let walk = walk(&clean, Limits::PROVE, |_| true);
        assert_eq!(walk.end, End::Complete);
        prove(clean, MAX_WORLDS).expect("every calm world converges");
    }
}
