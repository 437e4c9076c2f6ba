//! Scripted peers that are slow, silent, rude or hostile: each gives a typed error in time, and nothing hangs.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use psync_conformance::conn::ConnError;
use psync_conformance::control::{Control, ControlError};
use psync_conformance::data::MAX_DATABASES;
use psync_conformance::era::Era;
use psync_conformance::guard::{Permission, Refusal, check_empty};
use psync_conformance::played::{
    Answer, PeerFault, PlayedError, PlayedPrimary, PlayedReplica, Request,
};
use psync_conformance::wire::{WireError, encode};

use crate::support::{LIMIT, deadline, serve_one, shortly, transcript};

/// Whether a fault is the one a case expects.
type IsNamed = fn(&PeerFault) -> bool;

/// Says one thing to whoever connects and then reads until the end.
fn saying(answer: impl AsRef<[u8]> + Send + 'static) -> std::net::SocketAddr {
    serve_one(move |mut stream: TcpStream| {
        stream.write_all(answer.as_ref()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    })
    .0
}

/// What comes of asking for the sizes of all databases: these replies to SELECT and DBSIZE for the first, those for each of
/// the others, and one to the last SELECT, with something behind it.
fn sizes(first: &str, others: &str, last: &str) -> String {
    let number = MAX_DATABASES as usize - 1;
    format!("{first}{}{last}", others.repeat(number))
}

#[test]
fn control_connection_names_garbage_silence_and_wrong_kinds() {
    let connect = |answer: &'static [u8], limit_ms| {
        Control::connect(
            saying(answer),
            std::time::Duration::from_millis(limit_ms),
            transcript("control"),
        )
        .unwrap()
    };
    let garbage = connect(b"HTTP/1.1 400 Bad Request\r\n", 5_000)
        .barrier()
        .unwrap_err();
    assert!(
        matches!(
            &garbage,
            ControlError::Unanswered(unanswered) if matches!(unanswered.source, ConnError::Wire {
                source: WireError::Unexpected { .. },
                ..
            })
        ),
        "{garbage}"
    );
    let huge = connect(b"$4611686018427387904\r\n", 5_000)
        .info("replication")
        .unwrap_err();
    assert!(
        matches!(
            &huge,
            ControlError::Unanswered(unanswered) if matches!(unanswered.source, ConnError::Wire {
                source: WireError::LengthOutOfRange { .. },
                ..
            })
        ),
        "{huge}"
    );
    let silent = connect(b"+PO", 50).barrier().unwrap_err();
    assert!(
        matches!(
            &silent,
            ControlError::Unanswered(unanswered) if unanswered.command == "PING"
                && matches!(unanswered.source, ConnError::TimedOut { limit_ms: 50, .. })
        ),
        "{silent}"
    );
    let wrong = connect(b":1\r\n", 5_000).barrier().unwrap_err();
    assert!(
        matches!(
            wrong,
            ControlError::Answer {
                expected: "PONG",
                ..
            }
        ),
        "{wrong}"
    );
    let refused = connect(b"-NOAUTH no\r\n", 5_000)
        .info("replication")
        .unwrap_err();
    assert!(matches!(refused, ControlError::Refused { .. }), "{refused}");
}

#[test]
fn server_with_one_database_is_read_back_and_refused_when_it_holds_keys() {
    let replies = sizes(
        "+OK\r\n:2\r\n",
        "-ERR DB index is out of range\r\n:2\r\n",
        "+OK\r\n",
    );
    let mut control = Control::connect(saying(replies), LIMIT, transcript("control")).unwrap();
    let refusal = check_empty(&mut control, Permission::default()).unwrap_err();
    assert!(
        matches!(
            refusal,
            Refusal::HoldsData {
                database: 0,
                keys: 2,
                ..
            }
        ),
        "{refusal}"
    );
}

#[test]
fn server_that_can_neither_select_nor_count_is_read_back() {
    let unknown = "-ERR unknown command\r\n";
    let last = format!("{unknown}*1\r\n$1\r\na\r\n*1\r\n$1\r\na\r\n$1\r\n7\r\n");
    let replies = sizes(&unknown.repeat(2), &unknown.repeat(2), &last);
    let mut control = Control::connect(saying(replies), LIMIT, transcript("control")).unwrap();
    let data = control.data_set().unwrap();
    assert_eq!((data.len(), data.get(0, b"a")), (1, Some(b"7".as_slice())));
}

#[test]
fn replica_of_another_is_refused() {
    let replies = sizes(
        "+OK\r\n:0\r\n",
        "-ERR DB index is out of range\r\n:0\r\n",
        "+OK\r\n$50\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n",
    );
    let mut control = Control::connect(saying(replies), LIMIT, transcript("control")).unwrap();
    let refusal = check_empty(&mut control, Permission::default()).unwrap_err();
    assert!(
        matches!(&refusal, Refusal::IsReplica { primary, .. } if primary == "10.0.0.1:6379"),
        "{refusal}"
    );
}

#[test]
fn played_replica_names_a_primary_that_refuses_or_lies() {
    let addr = saying(b"-NOAUTH Authentication required.\r\n");
    let refused =
        PlayedReplica::handshake(addr, Era::Psync2, 1, LIMIT, transcript("replica")).unwrap_err();
    assert!(
        matches!(
            refused,
            PlayedError::Unexpected {
                expected: "PONG",
                ..
            }
        ),
        "{refused}"
    );

    let addr = saying(b"\n+PONG\r\n-ERR what\r\n+OK\r\n\n\n+FULLRESYNC zzz\r\n");
    let mut replica =
        PlayedReplica::handshake(addr, Era::Psync2, 1, LIMIT, transcript("replica")).unwrap();
    replica.ask(&Request::from_nothing()).unwrap();
    let malformed = replica.answer(deadline()).unwrap_err();
    assert!(
        matches!(malformed, PlayedError::Unexpected { .. }),
        "{malformed}"
    );

    let addr = saying(b"+PONG\r\n+OK\r\n+OK\r\n+CONTINUE\r\n*1\r\n$4\r\nPI");
    let mut replica =
        PlayedReplica::handshake(addr, Era::Psync, 1, LIMIT, transcript("replica")).unwrap();
    assert_eq!(
        replica.answer(deadline()).unwrap(),
        Answer::Continue { id: None }
    );
    assert!(matches!(
        replica.next_item(shortly()),
        Err(PlayedError::Conn(ConnError::TimedOut { .. }))
    ));
    assert_eq!(replica.conn().reader().stream_received(), 10);
    assert!(replica.transcript().log().to_string().contains("REPLCONF"));
}

#[test]
fn played_primary_serves_several_replicas_and_names_their_faults() {
    let primary = PlayedPrimary::listen(LIMIT, transcript("primary")).unwrap();
    let mut good =
        PlayedReplica::handshake(primary.addr(), Era::Psync2V7, 7, LIMIT, transcript("good"))
            .unwrap();
    good.ask(&Request::Psync {
        id: "abc".into(),
        next_byte: 8,
    })
    .unwrap();
    let (link, request) = primary.next_request(deadline()).unwrap();
    assert_eq!(
        request,
        Request::Psync {
            id: "abc".into(),
            next_byte: 8
        }
    );
    primary
        .answer(link, &Answer::Continue { id: None })
        .unwrap();
    assert_eq!(
        good.answer(deadline()).unwrap(),
        Answer::Continue { id: None }
    );
    for offset in [7, 9] {
        good.acknowledge(offset).unwrap();
    }
    assert_eq!(primary.next_acknowledgement(link, deadline()).unwrap(), 7);
    assert_eq!(
        primary.await_acknowledgement(link, 9, deadline()).unwrap(),
        9
    );

    let rude: [(&[u8], IsNamed); 3] = [
        (b"\x00\x01\x02", |fault| {
            matches!(fault, PeerFault::Wire(WireError::Unexpected { .. }))
        }),
        (b"*1\r\n$4611686018427387904\r\n", |fault| {
            matches!(fault, PeerFault::Wire(WireError::LengthOutOfRange { .. }))
        }),
        (b"PSYNC abc many\r\n", |fault| {
            matches!(fault, PeerFault::BadRequest { .. })
        }),
    ];
    for (bytes, is_named) in rude {
        let mut stream = TcpStream::connect(primary.addr()).unwrap();
        stream.write_all(bytes).unwrap();
        let error = primary.next_request(deadline()).unwrap_err();
        assert!(
            matches!(&error, PlayedError::Peer { fault, .. } if is_named(fault)),
            "{error}"
        );
    }
    assert!(primary.is_open(link));
    primary.forget_acknowledgements(link);
    primary.reset(link).unwrap();
    assert!(matches!(
        good.next_item(deadline()),
        Err(PlayedError::Conn(ConnError::Closed { .. }))
    ));
    assert!(matches!(
        primary.next_acknowledgement(link, shortly()).unwrap_err(),
        PlayedError::LinkClosed { .. }
    ));
    assert!(matches!(
        primary.send(link, b"x"),
        Err(PlayedError::LinkClosed { .. })
    ));
}

/// Some servers begin with a `PING` of their own, and listen to what is said to their `REPLCONF uuid`.
#[test]
fn played_primary_answers_words_it_does_not_know_as_redis_does_until_it_was_asked() {
    let primary = PlayedPrimary::listen(LIMIT, transcript("primary")).unwrap();
    let mut stream = TcpStream::connect(primary.addr()).unwrap();
    stream
        .write_all(b"REPLPING\r\nREPLCONF uuid abc\r\nREPLCONF capa eof\r\nPSYNC ? -1\r\n")
        .unwrap();
    primary.next_request(deadline()).unwrap();
    let answers: Vec<String> = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .take(3)
        .map(Result::unwrap)
        .collect();
    assert!(
        answers[0].starts_with("-ERR unknown command"),
        "{answers:?}"
    );
    assert!(
        answers[1].starts_with("-ERR Unrecognized REPLCONF option"),
        "{answers:?}"
    );
    assert_eq!(answers[2], "+OK");

    stream.write_all(b"GET a\r\n").unwrap();
    let error = primary.next_request(deadline()).unwrap_err();
    assert!(
        matches!(
            &error,
            PlayedError::Peer {
                fault: PeerFault::UnexpectedCommand { .. },
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn abandoned_connection_is_neither_read_nor_answered_and_stays_open() {
    let primary = PlayedPrimary::listen(LIMIT, transcript("primary")).unwrap();
    let mut replica =
        PlayedReplica::handshake(primary.addr(), Era::Psync, 7, LIMIT, transcript("replica"))
            .unwrap();
    replica.ask(&Request::Sync).unwrap();
    let (link, _) = primary.next_request(deadline()).unwrap();
    primary.abandon(link).unwrap();
    replica.acknowledge(5).unwrap();
    assert!(matches!(
        primary.next_acknowledgement(link, shortly()),
        Err(PlayedError::TimedOut { .. })
    ));
    primary
        .send(link, &[b"$0\r\n".to_vec(), encode(&["PING"])].concat())
        .unwrap();
    assert!(replica.payload(deadline()).unwrap().1.is_empty());
    assert_eq!(replica.stream_command(deadline()).unwrap().1, 14);
    primary.close(link).unwrap();
    assert!(matches!(
        replica.next_item(deadline()),
        Err(PlayedError::Conn(ConnError::Closed { .. }))
    ));
}
