//! Our own server with one rule wrong, and the watcher is told nothing: it must name the rule that was broken.
use std::net::SocketAddr;

use psync_conformance::conn::Deadline;
use psync_conformance::control::Control;
use psync_conformance::era::Era;
use psync_conformance::played::{PlayedReplica, Request};
use psync_conformance::process::Subject;
use psync_conformance::profile::Profile;
use psync_conformance::transcript::{CaseClock, Transcript};
use psync_conformance::watch::Rule;

use crate::support::{LIMIT, Watch, await_equal, await_that, cut, follow, rules, start};

/// The embedded server, with a fault or without one.
pub(crate) fn profile(fault: &str) -> Profile {
    let program = env!("CARGO_BIN_EXE_psync-conformance");
    let fault = match fault {
        "" => String::new(),
        fault => format!(", \"--fault\", \"{fault}\""),
    };
    let text = format!(
        r#"
name = "psync"
era = "psync2-v7"
command = ["{program}", "embedded-server", "--port", "{{port}}", "--dir", "{{dir}}"{fault}]
replica_args = ["--replicaof", "{{primary_host}}", "{{primary_port}}"]
controls = ["config-set"]
[config]
repl-diskless-sync-delay = "0"
repl-ping-replica-period = "3600"
"#
    );
    Profile::parse(&text, "test").unwrap()
}

/// A pair of our servers, the replica following through the watcher.
struct Pair {
    primary: (Subject, Control),
    replica: (Subject, Control),
    watch: Watch,
}

impl Pair {
    /// The primary has one fault, the replica another; `""` is none.
    fn start(primary_fault: &str, replica_fault: &str, is_direct: bool) -> Self {
        let mut primary = start(&profile(primary_fault), &[]);
        let mut replica = start(&profile(replica_fault), &[]);
        let is_direct = if is_direct { "yes" } else { "no" };
        primary
            .1
            .expect_ok(&["CONFIG", "SET", "repl-diskless-sync", is_direct])
            .unwrap();
        primary.1.expect_ok(&["SET", "before", "1"]).unwrap();
        let watch = Watch::start(primary.0.addr());
        follow(&mut replica.1, watch.addr());
        await_that("a full copy", || watch.figures().counts.full >= 1);
        Self {
            primary,
            replica,
            watch,
        }
    }

    fn write(&mut self, times: usize) -> &mut Self {
        for time in 0..times {
            self.primary
                .1
                .expect_ok(&["SET", &format!("key{time}"), &"v".repeat(time % 7)])
                .unwrap();
        }
        self
    }

    fn wait(&mut self) -> &mut Self {
        self.primary.1.command(&["WAIT", "1", "5000"]).unwrap();
        self
    }

    /// Cuts the link and awaits the next answer.
    fn cut(&mut self) -> &mut Self {
        let answers = |watch: &Watch| {
            let counts = watch.figures().counts;
            counts.continued + counts.full
        };
        let before = answers(&self.watch);
        cut(self.primary.0.addr(), "replica");
        await_that("another answer", || answers(&self.watch) > before);
        self
    }

    fn rules(self) -> Vec<Rule> {
        let (findings, _) = self.watch.end();
        for finding in &findings {
            eprintln!("{finding}");
        }
        rules(&findings)
    }
}

/// A stranger asks for the first byte under this name, and reads the answer and whatever comes first behind it.
fn ask_under(id: &str, watch: SocketAddr) {
    let transcript = Transcript::new("stranger", CaseClock::start());
    let mut stranger =
        PlayedReplica::handshake(watch, Era::Psync2V7, 1, LIMIT, transcript).unwrap();
    let (id, next_byte) = (id.to_owned(), 1);
    stranger.ask(&Request::Psync { id, next_byte }).unwrap();
    stranger.answer(Deadline::after(LIMIT)).unwrap();
    // It may be no command at all: the watcher says so.
    let _ = stranger.next_item(Deadline::after(LIMIT));
}

#[test]
fn our_own_server_without_a_fault_is_not_accused() {
    for is_direct in [false, true] {
        let mut pair = Pair::start("", "", is_direct);
        pair.write(20)
            .wait()
            .cut()
            .write(20)
            .wait()
            .cut()
            .write(3)
            .wait();
        await_equal(&mut pair.primary.1, &mut pair.replica.1);
        assert_eq!(pair.rules(), []);
    }
}

#[test]
fn each_fault_that_shows_on_the_way_is_named_for_what_it_is() {
    type Drive = fn(&mut Pair);
    let table: [(&str, &str, bool, Rule, Drive); 6] = [
        (
            "full-resync-offset-one-more",
            "",
            false,
            Rule::SnapshotLabel,
            |_| {},
        ),
        (
            "uncounted-byte-in-stream",
            "",
            false,
            Rule::PureStream,
            |pair| {
                pair.write(5);
            },
        ),
        (
            "backlog-differs-from-stream",
            "",
            false,
            Rule::SameBytes,
            |pair| {
                pair.write(5).wait();
                let info = pair.primary.1.info("replication").unwrap();
                ask_under(info.get("master_replid").unwrap(), pair.watch.addr());
            },
        ),
        (
            "",
            "request-not-plus-one",
            false,
            Rule::RequestedBoundary,
            |pair| {
                pair.write(20).wait().cut();
            },
        ),
        (
            "",
            "offset-reset-on-continue",
            false,
            Rule::Falling,
            |pair| {
                pair.write(20).wait().cut().write(1);
            },
        ),
        (
            "replication-id-not-checked",
            "",
            false,
            Rule::Answer,
            |pair| {
                pair.write(5).wait();
                for digit in ["d", "e"] {
                    ask_under(&digit.repeat(40), pair.watch.addr());
                }
            },
        ),
    ];
    for (on_primary, on_replica, is_direct, rule, drive) in table {
        let mut pair = Pair::start(on_primary, on_replica, is_direct);
        drive(&mut pair);
        pair.watch.await_rule(rule);
        let found = pair.rules();
        assert!(found.contains(&rule), "{on_primary}{on_replica}: {found:?}");
    }
}
