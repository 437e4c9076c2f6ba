//! Both actors, the control connection and the snapshots against a real redis-server, in both directions.
use std::fs;

use psync_conformance::control::Control;
use psync_conformance::data::DataSet;
use psync_conformance::era::Era;
use psync_conformance::info::Role;
use psync_conformance::played::{Answer, PlayedPrimary, PlayedReplica, Request};
use psync_conformance::process::{StartOptions, Subject};
use psync_conformance::rdb::{self, Label};
use psync_conformance::wire::{Framing, encode};

use crate::support::{LIMIT, deadline, redis, transcript};

const ID: &str = "00112233445566778899aabbccddeeff00112233";

fn control(subject: &Subject) -> Control {
    subject.control(transcript("control")).unwrap()
}

fn replica(subject: &Subject, era: Era) -> PlayedReplica {
    PlayedReplica::handshake(subject.addr(), era, 1, LIMIT, transcript("replica")).unwrap()
}

/// The commands of the stream up to this one, with their bytes. A primary's very first PING may come between
/// (PROTOCOL §7.2), and is counted like everything else.
fn stream_until(replica: &mut PlayedReplica, last: &str) -> (Vec<String>, u64) {
    let (mut names, mut total) = (Vec::new(), 0);
    while names.last().is_none_or(|name| name != last) {
        let (command, bytes) = replica.stream_command(deadline()).unwrap();
        names.push(command.name());
        total += bytes;
    }
    (names, total)
}

/// Values that a server writes plain, as each kind of packed integer, and compressed.
fn fill(control: &mut Control) -> DataSet {
    let long = "ab".repeat(50_000);
    let values = [
        "",
        "7",
        "-129",
        "70000",
        "-70000",
        "3000000000",
        "plain",
        long.as_str(),
    ];
    let mut data = DataSet::new();
    for database in [0, 3, 15] {
        control.select(database).unwrap();
        for (number, value) in values.iter().enumerate() {
            let key = format!("key{number}");
            control.expect_ok(&["SET", &key, value]).unwrap();
            data.insert(database, key, *value);
        }
    }
    control.select(0).unwrap();
    data
}

#[test]
fn snapshot_is_read_in_both_framings_and_by_sync() {
    let Some(server) = redis(&StartOptions::default()) else {
        return;
    };
    let mut control = control(&server);
    let data = fill(&mut control);
    for (diskless, era) in [
        ("no", Era::Psync2V7),
        ("yes", Era::Psync2V7),
        ("no", Era::Psync),
    ] {
        control
            .expect_ok(&["CONFIG", "SET", "repl-diskless-sync", diskless])
            .unwrap();
        let mut replica = replica(&server, era);
        replica.ask(&Request::from_nothing()).unwrap();
        let Answer::FullResync { id, offset } = replica.answer(deadline()).unwrap() else {
            panic!("no full resync")
        };
        let (framing, snapshot) = replica.payload(deadline()).unwrap();
        assert_eq!(matches!(framing, Framing::Mark(_)), diskless == "yes");
        let snapshot = rdb::read(&snapshot).unwrap();
        assert_eq!(snapshot.data, data);
        let label = snapshot.label.unwrap();
        assert_eq!((label.id, label.offset), (id, offset));
    }
    let mut replica =
        PlayedReplica::connect(server.addr(), LIMIT, transcript("old replica")).unwrap();
    replica.ask(&Request::Sync).unwrap();
    assert_eq!(
        rdb::read(&replica.payload(deadline()).unwrap().1)
            .unwrap()
            .data,
        data
    );
}

#[test]
fn played_replica_follows_continues_and_is_reported() {
    let Some(server) = redis(&StartOptions::default()) else {
        return;
    };
    let mut control = control(&server);
    let mut first = replica(&server, Era::Psync2V7);
    first.ask(&Request::from_nothing()).unwrap();
    let Answer::FullResync { id, offset } = first.answer(deadline()).unwrap() else {
        panic!("no full resync")
    };
    first.payload(deadline()).unwrap();
    control
        .wait_replication("an online replica", deadline(), |seen| {
            seen.replicas.iter().any(|line| line.state == "online")
        })
        .unwrap();
    // Earlier it might be lost: a primary starts the stream at an acknowledgement that follows (PROTOCOL §3.4).
    first.acknowledge(offset).unwrap();

    control.expect_ok(&["SET", "a", "1"]).unwrap();
    let (words, bytes) = stream_until(&mut first, "SET");
    let ours = [encode(&["SELECT", "0"]), encode(&["SET", "a", "1"])].concat();
    let pings = words.iter().filter(|word| *word == "PING").count();
    assert_eq!(bytes, (ours.len() + 14 * pings) as u64);
    assert_eq!(words.len(), 2 + pings);
    let end = offset + bytes as i64;
    first.acknowledge(end).unwrap();
    let seen = control
        .wait_replication("the acknowledgement", deadline(), |seen| {
            seen.replicas.iter().any(|line| line.acknowledged == end)
        })
        .unwrap();
    assert_eq!(
        (seen.role, seen.offset, seen.id.as_deref()),
        (Role::Primary, Some(end), Some(id.as_str()))
    );
    assert_eq!(seen.backlog.first_byte + seen.backlog.length, end + 1);

    // The old connection stays open, unread, while a new one continues in the middle of the SET.
    let _abandoned = first.abandon();
    let mut second = replica(&server, Era::Psync2V7);
    second
        .ask(&Request::Psync {
            id: id.clone(),
            next_byte: end - 4,
        })
        .unwrap();
    assert_eq!(
        second.answer(deadline()).unwrap(),
        Answer::Continue { id: Some(id) }
    );
    second.conn().await_bytes(5, deadline()).unwrap();
    assert_eq!(second.conn().reader().take_raw(100), b"\r\n1\r\n");
    control
        .wait_replication("two replicas", deadline(), |seen| seen.replicas.len() == 2)
        .unwrap();
    second.reset().unwrap();
    control
        .wait_replication("one replica less", deadline(), |seen| {
            seen.replicas.len() == 1
        })
        .unwrap();
}

#[test]
fn real_replica_follows_a_played_primary_and_continues() {
    let primary = PlayedPrimary::listen(LIMIT, transcript("primary")).unwrap();
    let Some(server) = redis(&StartOptions {
        primary: Some(primary.addr()),
        ..StartOptions::default()
    }) else {
        return;
    };
    let mut control = control(&server);
    let (link, request) = primary.next_request(deadline()).unwrap();
    assert_eq!(request, Request::from_nothing());
    assert!(
        primary
            .handshake(link)
            .iter()
            .any(|command| command.arg_text(0).as_deref() == Some("capa"))
    );

    let mut data = DataSet::new();
    data.insert(2, "there", "before");
    let label = Label {
        id: ID.into(),
        offset: 1000,
        stream_db: 2,
    };
    let snapshot = rdb::write(&data, Some(&label), 9).unwrap();
    primary
        .answer(
            link,
            &Answer::FullResync {
                id: ID.into(),
                offset: 1000,
            },
        )
        .unwrap();
    primary.keep_alive(link).unwrap();
    primary
        .payload_with_mark(link, &snapshot, [b'e'; 40])
        .unwrap();
    assert_eq!(
        primary.next_acknowledgement(link, deadline()).unwrap(),
        1000
    );

    let stream = [encode(&["SELECT", "2"]), encode(&["SET", "there", "after"])].concat();
    let (whole, half) = (stream.len() as i64, encode(&["SET", "half", "never"]));
    primary.send(link, &stream).unwrap();
    primary
        .send(link, &encode(&["REPLCONF", "GETACK", "*"]))
        .unwrap();
    assert_eq!(
        primary
            .await_acknowledgement(link, 1000 + whole, deadline())
            .unwrap(),
        1000 + whole
    );
    data.insert(2, "there", "after");
    assert_eq!(control.data_set().unwrap(), data);
    primary.send(link, &half[..9]).unwrap();
    primary.close(link).unwrap();

    let (second, request) = primary.next_request(deadline()).unwrap();
    assert_eq!(
        request,
        Request::Psync {
            id: ID.into(),
            next_byte: 1000 + whole + 37 + 1
        }
    );
    primary
        .answer(
            second,
            &Answer::Continue {
                id: Some(ID.into()),
            },
        )
        .unwrap();
    primary
        .send(second, &encode(&["SET", "more", "1"]))
        .unwrap();
    control
        .wait_replication("the applied bytes", deadline(), |seen| {
            seen.link
                .as_ref()
                .is_some_and(|link| link.up && link.offset > 1000 + whole + 37)
        })
        .unwrap();
    data.insert(2, "more", "1");
    assert_eq!(control.data_set().unwrap(), data);
    assert_eq!(
        control.replication().unwrap().primary_addr(),
        Some(primary.addr())
    );
    control.expect_ok(&["REPLICAOF", "NO", "ONE"]).unwrap();
    primary.await_close(second, deadline()).unwrap();
}

#[test]
fn error_answers_lead_to_sync_and_held_connections_are_answered_later() {
    let primary = PlayedPrimary::listen(LIMIT, transcript("primary")).unwrap();
    primary.set_accepting(false);
    let Some(server) = redis(&StartOptions {
        primary: Some(primary.addr()),
        ..StartOptions::default()
    }) else {
        return;
    };
    let mut control = control(&server);
    control
        .wait_until("replication", "a replica", deadline(), |info| {
            info.role() == Ok(Role::Replica)
        })
        .unwrap();
    assert!(primary.next_request(crate::support::shortly()).is_err());
    primary.set_accepting(true);
    let (link, _) = primary.next_request(deadline()).unwrap();
    primary
        .answer(link, &Answer::Error("ERR unknown command 'PSYNC'".into()))
        .unwrap();
    assert_eq!(
        primary.next_request(deadline()).unwrap(),
        (link, Request::Sync)
    );

    let mut data = DataSet::new();
    data.insert(0, "old", "way");
    // The format of Redis 2.6: no label.
    primary
        .payload_with_length(link, &rdb::write(&data, None, 6).unwrap())
        .unwrap();
    control
        .wait_replication("the link", deadline(), |seen| {
            seen.link.as_ref().is_some_and(|link| link.up)
        })
        .unwrap();
    assert_eq!(control.data_set().unwrap(), data);
    primary.abandon(link).unwrap();
    assert!(primary.is_open(link));
    let killed = control
        .command(&["CLIENT", "KILL", "TYPE", "master"])
        .unwrap();
    assert_eq!(killed.integer(), Some(1));
    let (second, _) = primary.next_request(deadline()).unwrap();
    assert_ne!(second, link);
    primary.reset(second).unwrap();
    assert!(!primary.is_open(second));
}

#[test]
fn saved_snapshot_is_read_and_ours_is_loaded_at_start() {
    let Some(mut server) = redis(&StartOptions::default()) else {
        return;
    };
    let data = fill(&mut control(&server));
    control(&server).expect_ok(&["SAVE"]).unwrap();
    let file = server.data_folder().unwrap().join("dump.rdb");
    assert_eq!(rdb::read(&fs::read(&file).unwrap()).unwrap().data, data);

    server.kill().unwrap();
    for version in [6, 7, 9, 10] {
        let label = (version > 6).then(|| Label {
            id: ID.into(),
            offset: 500,
            stream_db: 0,
        });
        fs::write(&file, rdb::write(&data, label.as_ref(), version).unwrap()).unwrap();
        server.restart(&StartOptions::default()).unwrap();
        let mut control = control(&server);
        assert_eq!(control.data_set().unwrap(), data, "version {version}");
        let seen = control.replication().unwrap();
        // PROTOCOL §4.8: a restarted primary remembers the label as its secondary one.
        let second = if version > 6 {
            (Some(ID), Some(501))
        } else {
            (Some("0".repeat(40).leak() as &str), Some(-1))
        };
        assert_eq!((seen.second_id.as_deref(), seen.second_limit), second);
        server.kill().unwrap();
    }
}
