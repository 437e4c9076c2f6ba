//! What the writer writes the reader reads; what is broken is refused by name. Real servers are met in `tests/`.
use super::*;

fn sample() -> (DataSet, Label) {
    let mut data = DataSet::new();
    data.insert(0, "a", "1");
    data.insert(0, "long", vec![b'x'; 70_000]);
    data.insert(9, vec![b'k'; 100], "");
    (
        data,
        Label {
            id: "0123456789012345678901234567890123456789".into(),
            offset: 1 << 40,
            stream_db: 9,
        },
    )
}

#[test]
fn what_is_written_is_read_in_every_version() {
    let (data, label) = sample();
    for version in OLDEST_VERSION..=NEWEST_VERSION {
        let label = (version >= FIRST_VERSION_WITH_FIELDS).then(|| label.clone());
        let snapshot = read(&write(&data, label.as_ref(), version).unwrap()).unwrap();
        assert_eq!(
            (snapshot.version, &snapshot.data, snapshot.label),
            (version, &data, label)
        );
        assert!(snapshot.has_checksum);
    }
}

#[test]
fn label_needs_a_version_with_fields() {
    let (data, label) = sample();
    assert_eq!(
        write(&data, Some(&label), 6),
        Err(RdbError::LabelNeedsFields { version: 6 })
    );
    assert_eq!(write(&data, None, 5), Err(RdbError::Version { version: 5 }));
    assert_eq!(
        write(&data, None, 14),
        Err(RdbError::Version { version: 14 })
    );
}

#[test]
fn every_truncation_and_every_changed_byte_is_refused() {
    let mut data = DataSet::new();
    data.insert(1, "key", "value");
    let whole = write(&data, Some(&sample().1), 9).unwrap();
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).is_err(), "{end}");
    }
    for at in 0..whole.len() {
        let mut broken = whole.clone();
        broken[at] ^= 0x04;
        assert!(read(&broken).is_err(), "{at}");
    }
    assert_eq!(
        read(&[whole, b"xy".to_vec()].concat()),
        Err(RdbError::Trailing { count: 2 })
    );
}

#[test]
fn packed_strings_are_read_and_records_without_strings_passed_over() {
    let mut bytes = b"REDIS0011\xfe\x02\xfb\x03\x00".to_vec();
    bytes.extend_from_slice(b"\xfc\0\0\0\0\0\0\0\0\x00\x01a\xc0\xff");
    bytes.extend_from_slice(b"\xf9\x07\x00\x01b\xc1\x00\x80");
    bytes.extend_from_slice(b"\xf8\x05\x00\x01c\xc2\x00\x00\x00\x80");
    bytes.extend_from_slice(b"\x00\x01d\xc3\x06\x0b\x01ab\xe0\x00\x01");
    bytes.extend_from_slice(b"\xff\0\0\0\0\0\0\0\0");
    let snapshot = read(&bytes).unwrap();
    assert!(!snapshot.has_checksum);
    let mut expected = DataSet::new();
    for (key, value) in [
        ("a", "-1"),
        ("b", "-32768"),
        ("c", "-2147483648"),
        ("d", "abababababa"),
    ] {
        expected.insert(2, key, value);
    }
    assert_eq!(snapshot.data, expected);
}

#[test]
fn hostile_snapshots_are_refused_by_name() {
    let unsupported = |kind, name| RdbError::Unsupported { kind, name, at: 9 };
    let cases: [(&[u8], RdbError); 6] = [
        (
            b"REDIS0011\x00\x81\x40\0\0\0\0\0\0\0",
            RdbError::Truncated {
                at: 19,
                what: "a key",
                needed: 1 << 62,
            },
        ),
        (
            b"REDIS0011\x00\xc3\x01\x81\x40\0\0\0\0\0\0\0\x00",
            RdbError::Compression {
                at: 21,
                claimed: 1 << 62,
            },
        ),
        (b"REDIS0011\x04\x01h", unsupported(4, "a hash")),
        (
            b"REDIS0011\xf5\x01h",
            unsupported(kind::FUNCTION, "a library of functions"),
        ),
        (
            b"VALKEY080\xff",
            RdbError::NotASnapshot {
                came: Excerpt::of(b"VALKEY080\xff"),
            },
        ),
        (
            b"REDIS0011\xfe\xc1\x01\x01",
            RdbError::Encoding {
                what: "the number of a database",
                encoding: 0xc1,
                at: 10,
            },
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(read(bytes), Err(error));
    }
}
