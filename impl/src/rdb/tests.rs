//! Round trips, damage, and payloads made by hand. Real files are met in `tests/rdb_against_redis.rs`.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::keyspace::{Blob, Entry, Hash, Keyspace, Value};

const FIELDS: ReplicationFields = ReplicationFields {
    stream_db: 3,
    id: [b'a'; 40],
    offset: 1_234,
};

fn sample() -> Keyspace {
    let mut keyspace = Keyspace::new();
    for (database, key, length, expires_at_ms) in [
        (0, "a", 0, None),
        (0, "b", 63, Some(7)),
        (0, "c", 64, None),
        (9, "a", 16_384, None),
        (15, "", 3, Some(u64::MAX >> 1)),
    ] {
        let value = Bytes::from(vec![b'x'; length]);
        keyspace.insert(
            database,
            &Bytes::from_static(key.as_bytes()),
            Entry::string(value).expiring(expires_at_ms),
        );
    }
    keyspace
}

/// A payload of version 11 with disabled checksum and the given items.
fn payload(items: &[u8]) -> Bytes {
    Bytes::from([b"REDIS0011", items, &[255], &[0; 8]].concat())
}

#[test]
fn version_is_the_lowest_that_the_content_allows() {
    let bare = write_all(sample().snapshot(), None);
    let labelled = write_all(sample().snapshot(), Some(FIELDS));
    assert_eq!(
        (&bare[..9], &labelled[..9]),
        (&b"REDIS0006"[..], &b"REDIS0007"[..])
    );
    let loaded = read(&labelled).unwrap();
    assert_eq!((loaded.fields, loaded.version), (Some(FIELDS), 7));
    assert_eq!(
        read(&bare).unwrap(),
        Loaded {
            keyspace: sample(),
            fields: None,
            version: 6
        }
    );
}

#[test]
fn checksum_of_an_empty_snapshot_is_the_known_one() {
    // The trailer that Redis 2.6 to 3.2 write for an empty data set.
    let known = [
        b"REDIS0006\xff".as_slice(),
        &[0xdc, 0xb3, 0x43, 0xf0, 0x5a, 0xdc, 0xf2, 0x56],
    ]
    .concat();
    assert_eq!(write_all(Keyspace::new().snapshot(), None), known);
}

#[test]
fn portions_are_small_and_add_up() {
    let whole = write_all(sample().snapshot(), Some(FIELDS));
    for limit in [0, 1, 100] {
        let mut writer = RdbWriter::new(sample().snapshot(), Some(FIELDS));
        let portions: Vec<_> = std::iter::from_fn(|| writer.next_chunk(limit)).collect();
        assert!(portions.len() >= 3 && portions.iter().all(|portion| portion.len() < 16_500));
        assert_eq!(portions.concat(), whole);
    }
}

#[test]
fn every_cut_and_every_changed_byte_is_noticed() {
    let whole = write_all(sample().snapshot(), Some(FIELDS));
    for cut in 0..whole.len() {
        assert!(
            matches!(read(&whole.slice(..cut)), Err(RdbError::Truncated { .. })),
            "cut at {cut}"
        );
    }
    for at in (0..300).chain(whole.len() - 200..whole.len()) {
        let mut damaged = whole.to_vec();
        damaged[at] ^= 0x41;
        assert!(read(&damaged.into()).is_err(), "byte {at}");
    }
    let longer = Bytes::from([&whole[..], b"xy"].concat());
    assert_eq!(
        read(&longer),
        Err(RdbError::TrailingBytes {
            position: whole.len(),
            count: 2
        })
    );
}

#[test]
fn what_newer_versions_write_is_read() {
    let items = [
        b"\xfa\x09redis-ver\x057.2.6".as_slice(),
        b"\xfe\x00\xfb\x04\x01",
        b"\xf8\x05\xf9\x07\x00\x01i\xc0\xff",
        b"\xfc\x39\x30\x00\x00\x00\x00\x00\x00\x00\x01j\xc1\x00\x80",
        b"\xfd\x02\x00\x00\x00\x00\x01k\xc2\x00\x00\x00\x80",
        b"\x00\x01l\xc3\x05\x41\x09\x00a\xe0\xff\x00",
        b"\xf4\x01\x01\x00",
    ];
    let loaded = read(&payload(&items.concat())).unwrap();
    let found: std::collections::BTreeMap<_, _> = loaded.keyspace.iter(0).collect();
    let mut expected = Keyspace::new();
    for (key, value, deadline) in [
        ("i", "-1", None),
        ("j", "-32768", Some(12_345)),
        ("k", "-2147483648", Some(2_000)),
        ("l", &"a".repeat(265), None),
    ] {
        let entry = Entry::string(value).expiring(deadline);
        expected.insert(0, key.as_bytes(), entry);
    }
    assert_eq!(loaded.keyspace, expected, "{found:?}");
}

#[test]
fn what_we_do_not_hold_is_refused_by_name() {
    let key = Bytes::from_static(b"k");
    let unsupported = |type_name| RdbError::UnsupportedType {
        key: Bytes::from_static(b"k"),
        type_name,
    };
    let table: [(&[u8], RdbError); 10] = [
        (b"\x18\x01k", unsupported("hash with deadlines of fields")),
        (b"\x07\x01k", unsupported("module value")),
        (b"\x15\x01k", unsupported("stream")),
        (
            b"\xf5\x01k",
            RdbError::UnsupportedSection {
                section: "a function",
                position: 9,
            },
        ),
        (
            b"\xf7\x01k",
            RdbError::UnsupportedSection {
                section: "module data",
                position: 9,
            },
        ),
        (
            b"\x63\x01k",
            RdbError::UnknownCode {
                code: 99,
                position: 9,
            },
        ),
        (
            b"\xfe\x10",
            RdbError::BadDatabase {
                number: 16,
                position: 10,
            },
        ),
        (b"\x00\x82\x00", RdbError::BadLength { position: 10 }),
        (
            b"\x00\x01k\x00\x00\x01k\x00",
            RdbError::DuplicateKey { key },
        ),
        (
            b"\xfa\x07repl-id\x01a",
            RdbError::BadField {
                name: Bytes::from_static(b"repl-id"),
            },
        ),
    ];
    for (items, error) in table {
        assert_eq!(read(&payload(items)), Err(error));
    }
}

#[test]
fn collections_that_contradict_themselves_are_refused() {
    let intset = |width: u8, count: u8| [&[width, 0, 0, 0, count, 0, 0, 0], &[1, 0][..]].concat();
    let listpack = |count: u8| vec![11, 0, 0, 0, count, 0, 1, 1, 2, 1, 255];
    let table: [(u8, Vec<u8>, bool); 12] = [
        (11, intset(2, 1), true),
        (11, intset(2, 2), false),
        (11, intset(0, 0), false),
        (11, intset(1, 2), false),
        (16, listpack(2), true),
        (16, listpack(3), false),
        (16, vec![7, 0, 0, 0, 1, 0, 255], false),
        (16, vec![9, 0, 0, 0, 1, 0, 1, 1, 255], false),
        (20, vec![11, 0, 0, 0, 2, 0, 1, 1, 1, 1, 255], false),
        (17, vec![11, 0, 0, 0, 2, 0, 1, 1, 0x81, b'x', 255], false),
        (13, vec![11, 0, 0, 0, 10, 0, 0, 0, 0, 0, 255], true),
        (9, vec![1, 1, b'f', 1, 0, b'v'], false),
    ];
    for (code, value, good) in table {
        let mut items = vec![code, 1, b'k', value.len() as u8];
        items.extend(&value);
        let read = read(&payload(&items));
        assert_eq!(read.is_ok(), good, "{code} {value:?} {read:?}");
    }
    for twice in [
        &b"\x02\x01k\x02\x01a\x01a"[..],
        b"\x04\x01k\x02\x01a\x01b\x01a\x01b",
    ] {
        assert!(matches!(
            read(&payload(twice)),
            Err(RdbError::BadCollection { .. })
        ));
    }
    assert!(
        read(&payload(b"\x03\x01k\x01\x01a\xfd")).is_err(),
        "a score is a number"
    );
}

#[test]
fn hostile_lengths_allocate_nothing() {
    let huge = |items: &[u8]| read(&payload(items)).unwrap_err();
    assert!(matches!(
        huge(b"\x00\x81\x40\0\0\0\0\0\0\0"),
        RdbError::Truncated { position: 19, .. }
    ));
    assert!(matches!(
        huge(b"\x00\x80\xff\xff\xff\xff"),
        RdbError::Truncated { .. }
    ));
    let inflated = huge(b"\x00\x01k\xc3\x01\x81\x40\0\0\0\0\0\0\0\x00");
    assert_eq!(inflated, RdbError::BadCompression { position: 12 });
}

#[test]
fn magic_and_version_are_checked() {
    let with = |magic: &[u8]| read(&Bytes::from([magic, &[255], &[0; 8]].concat()));
    for (magic, version) in [(b"REDIS0013", 13), (b"VALKEY080", 80), (b"REDIS0005", 5)] {
        assert_eq!(with(magic).map(|loaded| loaded.version), Ok(version));
    }
    assert_eq!(
        read(&Bytes::from_static(b"REDIS0004\xff")).map(|loaded| loaded.version),
        Ok(4)
    );
    for (magic, version) in [(b"REDIS0014", 14), (b"REDIS0000", 0), (b"VALKEY081", 81)] {
        assert_eq!(with(magic), Err(RdbError::UnsupportedVersion { version }));
    }
    assert_eq!(with(b"RABBIT001"), Err(RdbError::BadMagic));
    assert_eq!(with(b"REDIS00x1"), Err(RdbError::BadMagic));
}

fn values() -> impl Strategy<Value = Value> {
    let text = || prop::collection::vec(any::<u8>(), 0..60).prop_map(Blob::from);
    let texts = || prop::collection::vec(text(), 1..40);
    let score = prop_oneof![
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        any::<f64>().prop_filter("a number", |score| !score.is_nan()),
    ];
    let hash = |pairs: Vec<(Blob, Blob)>| {
        let mut hash = Hash::default();
        for (field, value) in pairs {
            hash.insert(field, value);
        }
        Value::Hash(hash)
    };
    let sorted_set = |members: Vec<(Blob, f64)>| {
        let members = members.iter().map(|(member, score)| (member, *score));
        Value::SortedSet(members.collect())
    };
    prop_oneof![
        text().prop_map(Value::String),
        texts().prop_map(|texts| Value::List(texts.into_iter().collect())),
        texts().prop_map(|texts| Value::Set(texts.into_iter().collect())),
        prop::collection::vec((text(), text()), 1..40).prop_map(hash),
        prop::collection::vec((text(), score), 1..40).prop_map(sorted_set),
    ]
}

fn keyspaces() -> impl Strategy<Value = Keyspace> {
    let key = prop::collection::vec(any::<u8>(), 0..40);
    let deadline = prop::option::of(0..u64::MAX >> 1);
    prop::collection::vec((0_usize..16, key, values(), deadline), 0..20).prop_map(|entries| {
        let mut keyspace = Keyspace::new();
        for (database, key, value, expires_at_ms) in entries {
            let entry = Entry::new(value).expiring(expires_at_ms);
            keyspace.insert(database, &key, entry);
        }
        keyspace
    })
}

proptest! {
    #[test]
    fn round_trip(keyspace in keyspaces(), labelled: bool, limit in 1_usize..500) {
        let fields = labelled.then_some(FIELDS);
        let mut writer = RdbWriter::new(keyspace.snapshot(), fields);
        let mut payload = BytesMut::new();
        while let Some(portion) = writer.next_chunk(limit) {
            payload.put(portion);
        }
        let loaded = read(&payload.freeze()).unwrap();
        prop_assert_eq!((loaded.keyspace, loaded.fields), (keyspace, fields));
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic(keyspace in keyspaces(), at: prop::sample::Index, change in 1_u8..) {
        let mut payload = write_all(keyspace.snapshot(), Some(FIELDS)).to_vec();
        let at = at.index(payload.len());
        payload[at] ^= change;
        prop_assert!(read(&payload.into()).is_err());
    }

    #[test]
    fn dumped_values_are_restored(value in values()) {
        let dumped = dump(&value);
        prop_assert_eq!(restore(&dumped), Ok(value));
        for cut in 0..dumped.len() {
            prop_assert!(restore(&dumped.slice(..cut)).is_err());
        }
    }

    #[test]
    fn random_values_never_panic(code in 0_u8..22, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut whole = vec![code, 1, b'k'];
        whole.extend(bytes);
        let _ = read(&payload(&whole));
    }

    #[test]
    fn random_items_never_panic(items in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&payload(&items));
    }
}
