//! The four lies in front of a real server: each is seen by a played replica, and an ordinary client sees none of it.
use psync_conformance::control::Control;
use psync_conformance::era::Era;
use psync_conformance::played::{Answer, PlayedReplica, Request};
use psync_conformance::process::{StartOptions, Subject};
use psync_conformance::proxy::{Honest, Lie, Proxy};
use psync_conformance::rdb;

use crate::support::{LIMIT, deadline, redis, transcript};

/// Asks through a proxy, with the server's true name and the number of its next byte.
fn asked(proxy: &Proxy, request: &Request) -> (PlayedReplica, Answer) {
    let mut replica =
        PlayedReplica::handshake(proxy.addr(), Era::Psync2V7, 1, LIMIT, transcript("replica"))
            .unwrap();
    replica.ask(request).unwrap();
    let answer = replica.answer(deadline()).unwrap();
    (replica, answer)
}

/// A server with a key and a history, and the request that continues it from its first byte.
fn server_with_history() -> Option<(Subject, Request, i64)> {
    let server = redis(&StartOptions::default())?;
    let proxy = Proxy::start(server.addr(), || Box::new(Honest)).unwrap();
    let (mut replica, answer) = asked(&proxy, &Request::from_nothing());
    let Answer::FullResync { id, offset } = answer else {
        panic!("no full resync: {answer:?}")
    };
    replica.payload(deadline()).unwrap();
    let mut control = Control::connect(proxy.addr(), LIMIT, transcript("control")).unwrap();
    control
        .expect_ok(&["SET", "+FULLRESYNC", "+CONTINUE"])
        .unwrap();
    assert_eq!(control.data_set().unwrap().len(), 1);
    let end = control.replication().unwrap().offset.unwrap();
    Some((
        server,
        Request::Psync {
            id,
            next_byte: offset + 1,
        },
        end,
    ))
}

#[test]
fn each_lie_reaches_a_replica_and_none_an_ordinary_client() {
    let Some((server, request, end)) = server_with_history() else {
        return;
    };
    let everything = Request::from_nothing();

    let honest = Proxy::start(server.addr(), || Box::new(Honest)).unwrap();
    let (mut replica, _) = asked(&honest, &request);
    assert!(replica.stream_command(deadline()).is_ok());

    let proxy = Proxy::lying(server.addr(), Lie::DropByteAfterContinue).unwrap();
    let (mut replica, answer) = asked(&proxy, &request);
    assert!(matches!(answer, Answer::Continue { .. }));
    assert!(replica.stream_command(deadline()).is_err());

    let proxy = Proxy::lying(server.addr(), Lie::EmptySnapshot).unwrap();
    let (mut replica, _) = asked(&proxy, &everything);
    assert!(
        rdb::read(&replica.payload(deadline()).unwrap().1)
            .unwrap()
            .data
            .is_empty()
    );

    let proxy = Proxy::lying(server.addr(), Lie::AlwaysContinue).unwrap();
    assert!(matches!(
        asked(&proxy, &everything).1,
        Answer::Continue { .. }
    ));

    let proxy = Proxy::lying(server.addr(), Lie::OffsetPlusOne).unwrap();
    let (mut replica, answer) = asked(&proxy, &everything);
    assert!(matches!(answer, Answer::FullResync { offset, .. } if offset > end));
    assert_eq!(
        rdb::read(&replica.payload(deadline()).unwrap().1)
            .unwrap()
            .data
            .len(),
        1
    );
    let mut control = Control::connect(proxy.addr(), LIMIT, transcript("control")).unwrap();
    assert_eq!(
        control.data_set().unwrap().get(0, b"+FULLRESYNC"),
        Some(b"+CONTINUE".as_slice())
    );
    proxy.cut_all();
    assert!(control.barrier().is_err());
}
