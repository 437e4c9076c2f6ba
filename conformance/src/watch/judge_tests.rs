//! The judge of the watcher is judged: each rule is broken once, by hand, and named; the canonical conversations are
//! found clean at every split; hostile bytes neither stop it nor fill its memory.
use proptest::prelude::*;

use crate::data::DataSet;
use crate::rdb;
use crate::watch::{Finding, From, Judge, Rule, Said};
use crate::wire::encode;

const R: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const S: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const T: &str = "cccccccccccccccccccccccccccccccccccccccc";
const MARK: &str = "0123456789012345678901234567890123456789";

/// Conversations with one judge, in pieces of one size.
struct Talk {
    judge: Judge,
    step: usize,
    link: u64,
    now_ms: u64,
    findings: Vec<Finding>,
    limits: Vec<String>,
}

impl Talk {
    fn new(step: usize) -> Self {
        Self {
            judge: Judge::new(1 << 20),
            step,
            link: 0,
            now_ms: 0,
            findings: Vec::new(),
            limits: Vec::new(),
        }
    }

    /// Another connection, with the handshake of a replica of today.
    fn connect(&mut self) -> &mut Self {
        self.open()
            .say(&["PING"])
            .hear("+PONG\r\n")
            .say(&["REPLCONF", "listening-port", "7000"])
            .hear("+OK\r\n")
            .say(&["REPLCONF", "capa", "eof", "capa", "psync2"])
            .hear("+OK\r\n")
    }

    fn open(&mut self) -> &mut Self {
        self.link += 1;
        self.judge.opened(self.now_ms, self.link, "127.0.0.1");
        self
    }

    fn cut(&mut self) -> &mut Self {
        self.now_ms += 500;
        self.judge.closed(self.now_ms, self.link);
        self
    }

    fn say(&mut self, words: &[&str]) -> &mut Self {
        self.pass(From::Replica, &encode(words))
    }

    fn hear(&mut self, text: &str) -> &mut Self {
        self.pass(From::Primary, text.as_bytes())
    }

    fn stream(&mut self, commands: &[&str]) -> &mut Self {
        let bytes: Vec<u8> = commands.iter().flat_map(|line| command(line)).collect();
        self.pass(From::Primary, &bytes)
    }

    fn pass(&mut self, from: From, bytes: &[u8]) -> &mut Self {
        for piece in bytes.chunks(self.step) {
            self.now_ms += 1;
            for said in self.judge.passed(self.now_ms, self.link, from, piece).said {
                match said {
                    Said::Finding(finding) => self.findings.push(finding),
                    Said::Note { text, is_limit, .. } if is_limit => self.limits.push(text),
                    Said::Note { .. } => {}
                }
            }
        }
        self
    }

    /// A full copy through a file, labelled.
    fn full(&mut self, id: &str, offset: i64) -> &mut Self {
        self.say(&["PSYNC", "?", "-1"])
            .hear(&format!("\n+FULLRESYNC {id} {offset}\r\n\n\n"))
            .snapshot(id, offset)
    }

    fn snapshot(&mut self, id: &str, offset: i64) -> &mut Self {
        let bytes = snapshot(id, offset);
        self.hear(&format!("${}\r\n", bytes.len()))
            .pass(From::Primary, &bytes)
    }

    /// A full copy sent directly, acknowledged.
    fn direct(&mut self, id: &str, offset: i64) -> &mut Self {
        self.say(&["PSYNC", "?", "-1"])
            .hear(&format!("+FULLRESYNC {id} {offset}\r\n$EOF:{MARK}\r\n"))
            .pass(From::Primary, &snapshot(id, offset))
            .hear(MARK)
    }

    fn acknowledge(&mut self, offset: i64) -> &mut Self {
        self.say(&["REPLCONF", "ACK", &offset.to_string()])
    }

    fn ask(&mut self, id: &str, byte: i64) -> &mut Self {
        self.say(&["PSYNC", id, &byte.to_string()])
    }

    /// The rules that were found broken.
    fn broken(&self) -> Vec<Rule> {
        self.findings.iter().map(|finding| finding.rule).collect()
    }
}

fn command(line: &str) -> Vec<u8> {
    encode(&line.split(' ').collect::<Vec<_>>())
}

fn snapshot(id: &str, offset: i64) -> Vec<u8> {
    let label = rdb::Label {
        id: id.to_owned(),
        offset,
        stream_db: 0,
    };
    let mut data = DataSet::new();
    data.insert(0, "key", "value");
    rdb::write(&data, Some(&label), 9).unwrap()
}

/// A conversation.
type Offend = fn(&mut Talk);

/// Each rule with conversations that break it and nothing else.
fn offences() -> Vec<(Rule, Offend)> {
    vec![
        (Rule::Reply, |talk| {
            talk.connect()
                .say(&["PSYNC", "?", "-1"])
                .hear("+FULLRESYNC short 0\r\n");
        }),
        (Rule::ContinueName, |talk| {
            talk.open().ask(R, 5).hear(&format!("+CONTINUE {R}\r\n"));
        }),
        (Rule::ContinueName, |talk| {
            talk.connect().ask(R, 5).hear("+CONTINUE abc\r\n");
        }),
        (Rule::Answer, |talk| {
            talk.connect()
                .say(&["PSYNC", "?", "-1"])
                .hear(&format!("+CONTINUE {R}\r\n"));
        }),
        (Rule::Answer, |talk| {
            talk.connect().ask(R, 0).hear(&format!("+CONTINUE {R}\r\n"));
        }),
        (Rule::Answer, |talk| {
            // Two names cannot both be the former one.
            talk.connect().ask(R, 5).hear(&format!("+CONTINUE {S}\r\n"));
            talk.connect().ask(T, 5).hear(&format!("+CONTINUE {S}\r\n"));
        }),
        (Rule::Answer, |talk| {
            // S parts from R behind offset 14, and R is continued further on.
            talk.connect().full(R, 0).stream(&["PING", "SET a 1"]);
            talk.connect()
                .ask(R, 15)
                .hear(&format!("+CONTINUE {S}\r\n"))
                .stream(&["SET b 1"]);
            talk.open()
                .say(&["REPLCONF", "capa", "psync2"])
                .hear("+OK\r\n");
            talk.ask(R, 42).hear(&format!("+CONTINUE {S}\r\n"));
        }),
        (Rule::Framing, |talk| {
            talk.connect()
                .say(&["PSYNC", "?", "-1"])
                .hear(&format!("+FULLRESYNC {R} 0\r\n+OK\r\n"));
        }),
        (Rule::SnapshotLabel, |talk| {
            talk.connect().say(&["PSYNC", "?", "-1"]);
            talk.hear(&format!("+FULLRESYNC {R} 100\r\n"))
                .snapshot(R, 150);
        }),
        (Rule::StreamGate, |talk| {
            talk.connect().direct(R, 7).stream(&["PING"]).acknowledge(7);
        }),
        (Rule::PureStream, |talk| {
            talk.connect()
                .full(R, 7)
                .stream(&["PING"])
                .hear("\n")
                .stream(&["PING"]);
        }),
        (Rule::PureStream, |talk| {
            talk.connect()
                .full(R, 7)
                .stream(&["PING"])
                .hear("-ERR unknown command\r\n");
        }),
        (Rule::SameBytes, |talk| {
            talk.connect()
                .full(R, 7)
                .stream(&["SET a 1", "SET a 2"])
                .acknowledge(34)
                .cut();
            talk.connect()
                .ask(R, 35)
                .hear(&format!("+CONTINUE {R}\r\n"))
                .stream(&["SET a 3"]);
        }),
        (Rule::SameBytes, |talk| {
            // A byte is left out behind the answer.
            talk.connect()
                .full(R, 7)
                .stream(&["SET a 1", "SET a 2"])
                .acknowledge(7)
                .cut();
            let late = &command("SET a 1")[1..];
            talk.connect().ask(R, 8).hear(&format!("+CONTINUE {R}\r\n"));
            talk.pass(From::Primary, late);
        }),
        (Rule::Speech, |talk| {
            talk.connect()
                .full(R, 7)
                .pass(From::Replica, b"+OK\r\n")
                .acknowledge(7);
        }),
        (Rule::Speech, |talk| {
            talk.connect().full(R, 7).say(&["GET", "a"]);
        }),
        (Rule::Unsent, |talk| {
            talk.connect().full(R, 7).stream(&["PING"]).acknowledge(22);
        }),
        (Rule::Unsent, |talk| {
            talk.connect().say(&["PSYNC", "?", "-1"]);
            talk.hear(&format!("+FULLRESYNC {R} 100\r\n$1000\r\nREDIS"))
                .acknowledge(100);
        }),
        (Rule::Falling, |talk| {
            talk.connect()
                .full(R, 7)
                .stream(&["PING", "PING"])
                .acknowledge(35)
                .acknowledge(21);
        }),
        (Rule::Falling, |talk| {
            talk.connect()
                .ask(R, 51)
                .hear(&format!("+CONTINUE {R}\r\n"))
                .acknowledge(0);
        }),
        (Rule::AcknowledgedBoundary, |talk| {
            talk.connect().full(R, 7).stream(&["PING"]).acknowledge(8);
        }),
        (Rule::AcknowledgedBoundary, |talk| {
            talk.connect()
                .full(R, 0)
                .stream(&["MULTI", "SET a 1"])
                .acknowledge(42);
        }),
        (Rule::RequestedBoundary, |talk| {
            talk.connect()
                .full(R, 7)
                .stream(&["PING"])
                .acknowledge(21)
                .cut();
            talk.connect().ask(R, 21);
        }),
        (Rule::Unlabelled, |talk| {
            talk.connect().full(R, 7).stream(&["SET a 1"]).cut();
            talk.connect().ask(R, 35).hear("-BUSY\r\n").say(&["SYNC"]);
            talk.snapshot(R, 34).stream(&["SET a 2"]).cut();
            talk.connect().ask(R, 27);
        }),
        (Rule::AskedBeyond, |talk| {
            talk.connect()
                .full(R, 7)
                .stream(&["PING"])
                .acknowledge(21)
                .cut();
            talk.connect().ask(R, 50);
        }),
        (Rule::AskedBehind, |talk| {
            talk.connect()
                .full(R, 7)
                .stream(&["PING", "PING"])
                .acknowledge(35)
                .cut();
            talk.connect().ask(R, 22);
        }),
    ]
}

#[test]
fn each_rule_can_be_broken_and_is_named_for_what_it_is() {
    let offences = offences();
    for (number, (rule, offend)) in offences.iter().enumerate() {
        for step in [1, 3, 10_000] {
            let mut talk = Talk::new(step);
            offend(&mut talk);
            assert_eq!(
                talk.broken(),
                [*rule],
                "offence {number} in pieces of {step}: {:?}",
                talk.findings
            );
        }
    }
    let unproved = Rule::ALL
        .iter()
        .find(|rule| !offences.iter().any(|(broken, _)| broken == *rule));
    assert_eq!(unproved, None);
}

#[test]
fn a_finding_says_where_it_stands() {
    let mut talk = Talk::new(10_000);
    talk.connect().full(R, 7).stream(&["PING"]).hear("\n");
    let before = format!("+PONG\r\n+OK\r\n+OK\r\n\n+FULLRESYNC {R} 7\r\n\n\n");
    let bytes = snapshot(R, 7).len();
    let byte = before.len() + format!("${bytes}\r\n").len() + bytes + 14 + 1;
    let place = &talk.findings[0].place;
    assert_eq!(
        (place.byte, place.offset, place.from),
        (byte as u64, Some(22), From::Primary)
    );
    let text = talk.findings[0].to_string();
    assert!(
        text.contains("PROTOCOL §2.5") && text.contains("127.0.0.1 listening on 7000"),
        "{text}"
    );
}

#[test]
fn the_canonical_conversations_are_clean_at_every_split() {
    for step in [1, 2, 5, 17, 64, 10_000] {
        let mut talk = Talk::new(step);
        // T1, then writes in two databases and a transaction.
        talk.connect().direct(R, 0).acknowledge(0);
        talk.stream(&[
            "SELECT 0", "SET x 1", "SELECT 3", "SET y 2", "MULTI", "INCR a", "INCR b", "EXEC",
        ]);
        talk.acknowledge(171)
            .stream(&["REPLCONF GETACK *"])
            .acknowledge(171)
            .acknowledge(208)
            .cut();
        // T2: the edges of the window, by strangers who do not announce themselves.
        for byte in [1, 6, 50, 208, 209] {
            talk.open()
                .say(&["REPLCONF", "capa", "psync2"])
                .hear("+OK\r\n")
                .ask(R, byte);
            let rest = encode(&["SELECT", "0"]);
            let from = (byte as usize - 1).min(rest.len());
            talk.hear(&format!("+CONTINUE {R}\r\n"))
                .pass(From::Primary, &rest[from..]);
        }
        talk.open()
            .ask(R, 300)
            .hear(&format!("+FULLRESYNC {R} 208\r\n"))
            .cut();
        talk.open()
            .say(&["PSYNC", R, "abc"])
            .hear("-ERR value is not an integer or out of range\r\n")
            .cut();
        // T3: promoted, and the same bytes go on under another name.
        talk.connect()
            .ask(R, 209)
            .hear(&format!("+CONTINUE {S}\r\n"))
            .stream(&["PING"])
            .acknowledge(222)
            .cut();
        talk.connect()
            .ask(S, 223)
            .hear(&format!("+CONTINUE {S}\r\n"))
            .stream(&["PING"])
            .cut();
        // A replica without psync2, continued under a name it never learns (X6).
        talk.open()
            .ask(R, 209)
            .hear("+CONTINUE\r\n")
            .stream(&["SET z 9"])
            .cut();
        // An error that passes, a joined snapshot, an old client, and one that wants the snapshot alone.
        talk.connect()
            .ask(S, 237)
            .hear("-NOMASTERLINK Can't SYNC\r\n")
            .cut();
        talk.connect()
            .full(S, 208)
            .stream(&["PING", "PING"])
            .acknowledge(236)
            .cut();
        talk.open()
            .pass(From::Replica, b"SYNC\r\n")
            .hear("\n\n")
            .snapshot(S, 236)
            .stream(&["PING"])
            .cut();
        // A client of redis-cli: its snapshot is filtered, and the stream follows.
        talk.open()
            .say(&["REPLCONF", "rdb-filter-only", ""])
            .hear("+OK\r\n")
            .pass(From::Replica, b"SYNC\r\n")
            .snapshot(S, 236)
            .stream(&["PING"])
            .cut();
        talk.open()
            .say(&["REPLCONF", "rdb-only", "1"])
            .hear("+OK\r\n")
            .full(S, 236)
            .hear("\n\n");
        assert_eq!(talk.findings, [], "in pieces of {step}");
    }
}

#[test]
fn a_replica_that_was_restarted_from_its_file_raises_a_doubt_and_no_more() {
    let mut talk = Talk::new(10_000);
    talk.connect()
        .full(R, 7)
        .stream(&["PING", "PING", "PING"])
        .acknowledge(49)
        .cut();
    talk.connect()
        .ask(R, 22)
        .hear(&format!("+CONTINUE {R}\r\n"))
        .stream(&["PING", "PING"])
        .acknowledge(49);
    assert_eq!(talk.broken(), [Rule::AskedBehind]);
    assert_eq!(talk.judge.figures().counts.violations, 0);
}

#[test]
fn two_connections_and_other_clients_are_passed_on_and_not_judged() {
    let mut talk = Talk::new(10_000);
    talk.connect()
        .ask(R, 9)
        .hear("+DUALCHANNELSYNC\r\n")
        .hear("anything");
    talk.connect().ask(R, 9).hear("+RDBCHANNELSYNC 12\r\n");
    talk.open()
        .say(&["REPLCONF", "rdb-channel", "1"])
        .hear("+OK\r\n")
        .hear("$ENDOFF:1");
    assert_eq!(talk.limits.len(), 3);
    talk.open()
        .say(&["GET", "a"])
        .hear("$-1\r\n")
        .say(&["PSYNC", "?", "-1"])
        .hear("nonsense");
    talk.open()
        .pass(From::Replica, b"GET / HTTP/1.1\r\n\r\n")
        .hear("-ERR no\r\n");
    assert_eq!((talk.findings.len(), talk.limits.len()), (0, 3));
}

#[test]
fn an_outage_is_measured_from_the_cut_to_the_answer() {
    let mut talk = Talk::new(10_000);
    talk.connect().full(R, 7).acknowledge(7).cut();
    talk.now_ms += 3_000;
    talk.connect().ask(R, 8).hear(&format!("+CONTINUE {R}\r\n"));
    let outage = talk.judge.figures().longest_outage.unwrap().as_millis();
    assert!((3_000..3_100).contains(&outage), "{outage} ms");
}

/// Pieces of conversations, some of them wrong.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "PING",
        "PSYNC",
        "SYNC",
        "?",
        "-1",
        "REPLCONF",
        "ACK",
        "capa",
        "psync2",
        "listening-port",
        "7000",
        R,
        S,
        "9223372036854775807",
        "-9223372036854775808",
        "0",
        "15",
        "GETACK",
        "MULTI",
        "EXEC",
        "rdb-only",
    ]);
    let lines = prop::sample::select(vec![
        "+PONG\r\n",
        "+OK\r\n",
        "\n",
        "-ERR\r\n",
        "+CONTINUE\r\n",
        "$EOF:",
        MARK,
        "$5\r\n",
        "$18446744073709551615\r\n",
        "*1\r\n",
        "*1000000000\r\n",
        "$0\r\n",
        "\r\n",
        "REDIS0009\u{fa}",
        "+FULLRESYNC ",
    ]);
    let numbers = prop::sample::select(vec![0, -1, 7, i64::MAX, i64::MIN, 1 << 40]);
    let ids = prop::sample::select(vec![R, S, T]);
    prop_oneof![
        prop::collection::vec(words, 1..5).prop_map(|words| encode(&words)),
        lines.prop_map(|line| line.as_bytes().to_vec()),
        (ids.clone(), numbers.clone())
            .prop_map(|(id, n)| format!("+FULLRESYNC {id} {n}\r\n").into_bytes()),
        (ids.clone(), numbers).prop_map(|(id, n)| encode(&["PSYNC", id, &n.to_string()])),
        ids.prop_map(|id| format!("+CONTINUE {id}\r\n").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..200),
        (any::<u8>(), 1_000..100_000_usize).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn hostile_bytes_neither_stop_the_judge_nor_fill_its_memory(
        said in prop::collection::vec((0..4_u64, any::<bool>(), piece()), 1..80)
    ) {
        let limit = 1 << 20;
        let mut judge = Judge::new(limit);
        for (at_ms, (link, is_replica, bytes)) in said.iter().enumerate() {
            let at_ms = at_ms as u64;
            match bytes.len() {
                0 => judge.closed(at_ms, *link),
                1 => judge.opened(at_ms, *link, "host"),
                _ => {}
            }
            if at_ms < 4 {
                judge.opened(at_ms, at_ms, "host");
            }
            let from = if *is_replica { From::Replica } else { From::Primary };
            judge.passed(at_ms, *link, from, bytes);
        }
        // Each of four links may hold a line or a reply, and the beginning of a snapshot.
        prop_assert!(judge.held_bytes() <= limit + 4 * 70_000);
    }
}
