//! Snapshots, scans, deadlines and equality.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn key(number: u32) -> Blob {
    Blob::from(format!("key:{number}"))
}

fn filled(count: u32) -> Keyspace {
    let mut keyspace = Keyspace::new();
    for number in 0..count {
        keyspace.insert(0, &key(number), Entry::string(key(number)));
    }
    keyspace
}

fn ending(deadline: u64) -> Entry {
    Entry::string("v").expiring(Some(deadline))
}

#[test]
fn snapshot_keeps_the_cut_while_writes_go_on() {
    let mut keyspace = filled(5_000);
    let (cut, copy) = (keyspace.snapshot(), keyspace.clone());
    for number in 0..2_500 {
        keyspace.remove(0, &key(number));
        keyspace.insert(3, &key(number), Entry::string(Blob::EMPTY));
    }
    keyspace.flush(0);
    assert_eq!(Keyspace::from(&cut), copy);
    assert_eq!(
        (cut.len(0), cut.len(3), keyspace.len(0), keyspace.len(3)),
        (5_000, 0, 0, 2_500)
    );
}

#[test]
fn snapshot_can_be_sent_to_another_thread() {
    fn sendable<T: Send + 'static>(_: &T) {}
    sendable(&filled(1).snapshot());
}

#[test]
fn scan_meets_every_constant_key_exactly_once_while_others_come_and_go() {
    let mut keyspace = filled(3_000);
    let (mut cursor, mut seen, mut turn) = (0, Vec::new(), 10_000);
    loop {
        let (next, keys) = keyspace.scan(0, cursor, 10);
        assert!(next == 0 || keys.len() >= 10);
        seen.extend(keys);
        keyspace.insert(0, &key(turn), Entry::string(Blob::EMPTY));
        keyspace.remove(0, &key(turn - 3));
        turn += 1;
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    let constant = (0..3_000)
        .filter(|number| seen.iter().filter(|found| **found == key(*number)).count() == 1);
    assert_eq!(constant.count(), 3_000);
}

#[test]
fn pick_finds_a_key_for_every_number() {
    let keyspace = filled(3);
    let picked: BTreeSet<_> = (0..64)
        .filter_map(|turn| keyspace.pick(0, turn << 58))
        .collect();
    assert_eq!(picked.len(), 3);
    assert!(keyspace.pick(0, u64::MAX).is_some());
    assert_eq!(keyspace.pick(1, 5), None);
}

#[test]
fn expire_step_deletes_the_oldest_deadlines_and_stops_at_its_limit() {
    let mut keyspace = Keyspace::new();
    for (number, deadline) in [(1, 30), (2, 10), (3, 20), (4, 99)] {
        keyspace.insert(5, &key(number), ending(deadline));
    }
    keyspace.insert(5, &key(1), ending(15));
    keyspace.insert(5, &key(2), Entry::string(Blob::EMPTY));
    assert_eq!(keyspace.expiring(5), 3);
    assert_eq!(keyspace.expire_step(15, 9, 0), []);
    assert_eq!(keyspace.expire_step(99, 1, 0), [(5, key(1))]);
    assert_eq!(keyspace.expire_step(99, 9, 0), [(5, key(3))]);
    assert_eq!((keyspace.len(5), keyspace.expiring(5)), (2, 1));
}

#[test]
fn digest_sees_database_key_and_whether_there_is_a_deadline_but_not_order() {
    let digest = |writes: &[(usize, u32, u64)]| {
        let mut keyspace = Keyspace::new();
        for (database, number, deadline) in writes {
            let entry = Entry::string("v").expiring(deadline.checked_sub(1));
            keyspace.insert(*database, &key(*number), entry);
        }
        keyspace.digest()
    };
    assert_eq!(
        digest(&[(0, 1, 5), (0, 2, 5)]),
        digest(&[(0, 2, 5), (0, 1, 5)])
    );
    for other in [(1, 1, 5), (0, 2, 5), (0, 1, 0)] {
        assert_ne!(digest(&[(0, 1, 5)]), digest(&[other]));
    }
}

proptest! {
    #[test]
    fn table_behaves_like_a_map(steps in prop::collection::vec((0_u32..40, 0_u8..5), 0..200)) {
        let (mut keyspace, mut model) = (Keyspace::new(), BTreeMap::new());
        let mut cuts = Vec::new();
        for (step, (number, action)) in steps.into_iter().enumerate() {
            let entry = ending(u64::from(number) + 1);
            match action {
                // Mostly of the same length, as what is written over in place.
                2 | 3 => {
                    let text = Bytes::from(format!("a text of {step} that is long"));
                    let deadline = (action == 2).then_some(step as u64 + 1);
                    keyspace.store(0, &key(number), &text, deadline);
                    model.insert(key(number), Entry::string(&text).expiring(deadline));
                }
                0 => prop_assert_eq!(keyspace.remove(0, &key(number)), model.remove(&key(number))),
                1 => prop_assert_eq!(keyspace.insert(0, &key(number), entry.clone()), model.insert(key(number), entry)),
                _ => cuts.push((keyspace.snapshot(), model.clone())),
            }
        }
        cuts.push((keyspace.snapshot(), model.clone()));
        let expiring = model.values().filter(|entry| entry.expires_at_ms().is_some()).count();
        prop_assert_eq!((keyspace.len(0), keyspace.expiring(0)), (model.len(), expiring));
        for (cut, model) in cuts {
            let data: BTreeMap<_, _> = cut.iter(0).map(|(key, entry)| (key.clone(), entry.clone())).collect();
            prop_assert_eq!(data, model);
        }
    }
}
