//! The byte sweep: good servers get through wherever the network fails, and of wrong ones it is said what is wrong.
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use psync_conformance::profile::Profile;
use psync_conformance::proxy::End;
use psync_conformance::run::in_parallel;
use psync_conformance::sweep::{Damage, Lengths, Place, Setup, measure, try_at};
use psync_model::casting::Casting;
use psync_model::rulebook::Era;
use psync_model::world::Framing;

use crate::redis_server::has_redis;
use crate::support::{JOBS, embedded};

/// How many bytes apart the places are at which the network fails: few enough places for a test, in no step with lines.
const EVERY: usize = 37;

/// How long a wrong server is given to end up right.
const SHORT_MS: u64 = 1_500;

fn setup(subject: Profile, casting: Casting, framing: Framing) -> Setup {
    let mut peer = embedded(Era::Psync2V7, &[], 10_000);
    peer.era = subject.era;
    Setup {
        subject,
        peer,
        casting,
        framing,
    }
}

fn lengths(setup: &Setup) -> Lengths {
    measure(setup).unwrap().unwrap()
}

/// Places all over the conversation, with both kinds of failure in the bytes of both ends.
fn places(lengths: Lengths) -> Vec<Place> {
    let ends = [
        (End::Server, lengths.from_primary),
        (End::Client, lengths.from_replica),
    ];
    let mut places = Vec::new();
    for (from, length) in ends {
        for byte in (0..length).step_by(EVERY) {
            places.extend([Damage::Cut, Damage::Stall].map(|damage| Place { damage, from, byte }));
        }
    }
    places
}

/// What was found wrong at these places, by name.
fn wrongs(setup: &Setup, places: &[Place]) -> BTreeSet<&'static str> {
    let try_one = |place: usize| try_at(setup, places[place]).unwrap();
    let held = in_parallel(
        places.len(),
        JOBS,
        &AtomicBool::new(false),
        None,
        try_one,
        |_, _| {},
    );
    assert_eq!(held.len(), places.len());
    let wrongs = held.into_values().filter_map(Result::err);
    wrongs
        .map(|wrong| {
            eprintln!("{}\n{}", wrong.required.name(), wrong.story);
            assert!(!wrong.log.is_empty());
            wrong.required.name()
        })
        .collect()
}

#[test]
fn our_own_server_gets_through_wherever_the_network_fails() {
    for (era, casting, framing) in [
        (Era::Sync, Casting::Replica, Framing::Disk),
        (Era::Psync, Casting::Primary, Framing::Disk),
        (Era::Psync2V7, Casting::Replica, Framing::Socket),
    ] {
        let setup = setup(embedded(era, &[], 10_000), casting, framing);
        let places = places(lengths(&setup));
        assert!(places.len() > 10);
        assert_eq!(wrongs(&setup, &places), BTreeSet::new(), "{era}");
    }
}

#[test]
fn redis_gets_through_wherever_the_network_fails() {
    if !has_redis() {
        return;
    }
    for casting in Casting::OF_PAIR {
        let setup = setup(Profile::load("redis").unwrap(), casting, Framing::Disk);
        let places = places(lengths(&setup));
        assert_eq!(wrongs(&setup, &places), BTreeSet::new(), "{casting:?}");
    }
}

/// Cuts in the primary's bytes: within the snapshot, and in the stream behind it.
#[test]
fn a_wrong_server_is_told_what_it_does_when_the_network_fails() {
    let cuts = |casting, fault, behind: &[u64]| {
        let right = setup(embedded(Era::Psync2V7, &[], 10_000), casting, Framing::Disk);
        let mut wrong = embedded(Era::Psync2V7, &["--fault", fault], SHORT_MS);
        wrong.waits.settle_ms = SHORT_MS.try_into().unwrap();
        let wrong = Setup {
            subject: wrong,
            peer: embedded(Era::Psync2V7, &[], SHORT_MS),
            ..right.clone()
        };
        let (damage, from) = (Damage::Cut, End::Server);
        let length = lengths(&right).from_primary;
        let byte = |before_end: &u64| length - before_end;
        let places: Vec<Place> = behind
            .iter()
            .map(byte)
            .map(|byte| Place { damage, from, byte })
            .collect();
        wrongs(&wrong, &places)
    };
    // The stream is the last hundred bytes or so, the snapshot what is before it.
    let (in_snapshot, in_stream) = (&[140, 180][..], &[3, 20, 50, 85][..]);
    for (fault, casting, behind, name) in [
        (
            "data-discarded-before-snapshot",
            Casting::Replica,
            in_snapshot,
            "old-data-stay",
        ),
        (
            "cached-primary-lost",
            Casting::Replica,
            in_stream,
            "continuation",
        ),
        (
            "half-command-counted",
            Casting::Replica,
            in_stream,
            "requested-boundary",
        ),
        (
            "label-adopted-before-load",
            Casting::Replica,
            in_snapshot,
            "data-arrive",
        ),
        (
            "backlog-differs-from-stream",
            Casting::Primary,
            in_stream,
            "data-arrive",
        ),
    ] {
        let found = cuts(casting, fault, behind);
        assert!(found.contains(name), "{fault}: {found:?}");
    }
}
