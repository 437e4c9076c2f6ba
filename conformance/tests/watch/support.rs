//! What the tests share: a pair of servers with the watcher between them.
use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use psync_conformance::conn::Deadline;
use psync_conformance::control::Control;
use psync_conformance::process::{StartOptions, Subject};
use psync_conformance::profile::Profile;
use psync_conformance::transcript::{CaseClock, Transcript};
use psync_conformance::watch::{Figures, Finding, Rule, Said, Tap, TapOptions, replay};

/// Long enough for a busy machine; no test that passes waits for it.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);
/// The pause between two looks at a server.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// What the watcher may remember.
const MEMORY_BYTES: usize = 8 << 20;

/// A watcher, what it said so far, and where its log is.
pub(crate) struct Watch {
    tap: Tap,
    said: Arc<Mutex<Vec<Said>>>,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Watch {
    pub(crate) fn start(primary: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("wire.jsonl");
        let options = TapOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            primary,
            memory_bytes: MEMORY_BYTES,
            log: Some(log.clone()),
        };
        let said = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&said);
        let tap = Tap::start(&options, move |one| theirs.lock().unwrap().push(one)).unwrap();
        Self {
            tap,
            said,
            log,
            _folder: folder,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.tap.addr()
    }

    pub(crate) fn figures(&self) -> Figures {
        self.tap.status().0
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        findings(&self.said.lock().unwrap())
    }

    /// Waits until a rule was found broken.
    pub(crate) fn await_rule(&self, rule: Rule) {
        await_that(&format!("{rule}"), || {
            let found = self.findings();
            found.iter().any(|finding| finding.rule == rule)
        });
    }

    /// Ends the watch, judges its log again, and asserts that the same was said; returns the findings and the figures.
    pub(crate) fn end(self) -> (Vec<Finding>, Figures) {
        let figures = self.tap.stop().unwrap();
        let said = std::mem::take(&mut *self.said.lock().unwrap());
        let mut again = Vec::new();
        let log = BufReader::new(File::open(&self.log).unwrap());
        let judge = replay(log, |one| again.push(one)).unwrap();
        assert_eq!(said, again, "the log is judged otherwise than what passed");
        assert_eq!(judge.figures().counts, figures.counts);
        (findings(&said), figures)
    }
}

fn findings(said: &[Said]) -> Vec<Finding> {
    let only = said.iter().filter_map(|one| match one {
        Said::Finding(finding) => Some(finding.clone()),
        Said::Note { .. } => None,
    });
    only.collect()
}

/// The rules that were found broken, each once, in order of their names.
pub(crate) fn rules(findings: &[Finding]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = findings.iter().map(|finding| finding.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

pub(crate) fn start(profile: &Profile, words: &[&str]) -> (Subject, Control) {
    let options = StartOptions {
        extra_args: words.iter().map(|word| (*word).to_owned()).collect(),
        ..StartOptions::default()
    };
    let server = Subject::start(profile, &options).unwrap();
    let control = control(server.addr());
    (server, control)
}

pub(crate) fn control(addr: SocketAddr) -> Control {
    Control::connect(addr, LIMIT, Transcript::new("control", CaseClock::start())).unwrap()
}

/// Cuts a server's links of this kind; one that is not established yet at this end cannot be cut, and is awaited.
pub(crate) fn cut(server: SocketAddr, kind: &str) {
    let mut control = control(server);
    await_that("a link to cut", || {
        let killed = control.command(&["CLIENT", "KILL", "TYPE", kind]).unwrap();
        killed.integer().is_some_and(|count| count > 0)
    });
}

/// Waits until something is so.
pub(crate) fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Deadline::after(LIMIT);
    while !is_so() {
        assert!(deadline.remaining().is_some(), "it never came to: {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// Tells a server whom to follow.
pub(crate) fn follow(replica: &mut Control, primary: SocketAddr) {
    let (host, port) = (primary.ip().to_string(), primary.port().to_string());
    replica.expect_ok(&["REPLICAOF", &host, &port]).unwrap();
}

/// Waits until the replica has the primary's offset and a link that is up.
pub(crate) fn await_equal(primary: &mut Control, replica: &mut Control) {
    await_that("equal offsets", || {
        let offset = |control: &mut Control, field: &str| {
            let info = control.info("replication").unwrap();
            let is_up = info
                .get("master_link_status")
                .is_none_or(|status| status == "up");
            info.get(field).filter(|_| is_up).map(str::to_owned)
        };
        let (theirs, ours) = (
            offset(primary, "master_repl_offset"),
            offset(replica, "slave_repl_offset"),
        );
        theirs.is_some() && theirs == ours
    });
}
