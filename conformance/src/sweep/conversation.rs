//! The conversation, held once: two servers, three commands, and a network that fails at one place or not at all.
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use psync_model::casting::Casting;
use psync_model::world::Framing;
use tempfile::TempDir;

use super::gate::{Fails, Gate, State};
use super::{Damage, Place, Required, Setup, Wrong};
use crate::conn::{ConnError, Deadline};
use crate::control::{Control, ControlError};
use crate::data::DataSet;
use crate::era::Era;
use crate::process::{StartOptions, Subject};
use crate::profile::{ControlName, Profile};
use crate::proxy::End;
use crate::reply::Reply;
use crate::transcript::{CaseClock, Transcript};
use crate::watch::{Finding, Said, Tap, TapOptions};

/// What the replica holds before it is told to follow.
const OLD: (&str, &str) = ("sweep:old", "1");
/// What the primary holds before anybody follows it.
const BASE: (&str, &str) = ("sweep:base", "1");
/// What is written while the replica is there: the database, the command, and the key and value it leaves. No two of
/// them can be exchanged, and none be left out or done twice, without a trace.
const WRITES: [(u32, &[&str], (&str, &str)); 3] = [
    (0, &["APPEND", "sweep:a", "x"], ("sweep:a", "x")),
    (1, &["INCR", "sweep:b"], ("sweep:b", "1")),
    (0, &["APPEND", "sweep:c", "done"], ("sweep:c", "done")),
];
/// The pause between two looks at a server.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long an answer is awaited before it is looked whether the network has failed meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// How much of the streams the watcher remembers: all of it.
const MEMORY_BYTES: usize = 1 << 20;

/// How many bytes the undamaged conversation takes from each end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// From the replica.
    pub from_replica: u64,
    /// From the primary.
    pub from_primary: u64,
}

/// What came of it; an error is the harness's own failure.
type Held = anyhow::Result<Result<Right, Wrong>>;

/// A conversation that led to what it must.
#[derive(Debug, Clone, Copy)]
struct Right {
    lengths: Lengths,
    /// Whether the network failed on the way.
    has_failed: bool,
}

/// Why a conversation went no further.
enum Stop {
    Wrong(Wrong),
    Harness(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Harness(error.into())
    }
}

/// Holds the conversation on a network that works, and counts its bytes.
pub fn measure(setup: &Setup) -> anyhow::Result<Result<Lengths, Wrong>> {
    let held = Conversation::begin(setup, None)?.held(None)?;
    Ok(held.map(|right| right.lengths))
}

/// Holds it on a network that fails at this place. Answers whether it did: what is said by the clock, as acknowledgements
/// are, may not be said each time.
pub fn try_at(setup: &Setup, place: Place) -> anyhow::Result<Result<bool, Wrong>> {
    let held = Conversation::begin(setup, Some(place))?.held(Some(place))?;
    Ok(held.map(|right| right.has_failed))
}

/// A server that takes part.
struct Server {
    subject: Subject,
    control: Control,
    profile: Profile,
    /// Whether it was asked something and has not answered yet.
    owes_answer: bool,
}

struct Conversation {
    primary: Server,
    replica: Server,
    tap: Tap,
    gate: Gate,
    found: Arc<Mutex<Vec<Finding>>>,
    log: TempDir,
}

impl Server {
    fn start(profile: &Profile, framing: Framing, data: (&str, &str)) -> anyhow::Result<Self> {
        let extra_args = if profile.offers(ControlName::Directives) {
            let words = directives(profile, framing).into_iter();
            words
                .flat_map(|(name, value)| [format!("--{name}"), value.to_owned()])
                .collect()
        } else {
            Vec::new()
        };
        let options = StartOptions {
            extra_args,
            ..StartOptions::default()
        };
        let subject = Subject::start(profile, &options)?;
        let mut control = subject.control(Transcript::new("control", CaseClock::start()))?;
        if !profile.offers(ControlName::Directives) && profile.offers(ControlName::ConfigSet) {
            for (name, value) in directives(profile, framing) {
                control.expect_ok(&["CONFIG", "SET", name, value])?;
            }
        }
        control.expect_ok(&["SET", data.0, data.1])?;
        Ok(Self {
            subject,
            control,
            profile: profile.clone(),
            owes_answer: false,
        })
    }

    /// All its data, or nothing while it says that it is loading them.
    fn data(&mut self) -> Result<Option<DataSet>, Stop> {
        match self.control.data_set() {
            Ok(data) => Ok(Some(data)),
            Err(ControlError::Refused { error, .. }) if error.starts_with("LOADING") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Its data when two looks in a row show the same, for reading them all takes more than one command.
    fn settled_data(&mut self, deadline: Deadline) -> Result<DataSet, Stop> {
        let mut last = None;
        loop {
            let data = self.data()?;
            if data.is_some() && data == last {
                return Ok(data.unwrap_or_default());
            }
            if deadline.remaining().is_none() {
                let error = anyhow::anyhow!("the replica's data were not at rest in time");
                return Err(error.into());
            }
            last = data;
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Asks, and waits for the answer no longer than until `is_over`: a server that waits for the rest of a line does
    /// nothing else meanwhile, as Redis in its handshake, and answers only when the line is whole or lost.
    fn ask_until(
        &mut self,
        words: &[&str],
        is_over: impl Fn() -> bool,
    ) -> Result<Option<Reply>, Stop> {
        self.control.send(words)?;
        let limit = Deadline::after(self.profile.waits.reply_ms.duration());
        loop {
            match self.control.reply(Deadline::after(ASK_AGAIN)) {
                Ok(reply) => return Ok(Some(reply)),
                Err(ControlError::Conn(ConnError::TimedOut { .. })) if is_over() => {
                    self.owes_answer = true;
                    return Ok(None);
                }
                Err(ControlError::Conn(ConnError::TimedOut { .. }))
                    if limit.remaining().is_some() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the answer that it owes.
    fn settle(&mut self) -> Result<(), Stop> {
        if std::mem::take(&mut self.owes_answer) {
            let limit = self.profile.waits.observe_ms.duration();
            self.control.reply(Deadline::after(limit))?;
        }
        Ok(())
    }

    /// Lets it read what it was sent: it has done so when it has answered twice, or will not answer before it gets more.
    fn look(&mut self) -> Result<(), Stop> {
        let quiet = Deadline::after(self.profile.waits.settle_ms.duration());
        for _ in 0..2 {
            if self.owes_answer {
                break;
            }
            self.ask_until(&["PING"], || quiet.remaining().is_none())?;
        }
        Ok(())
    }

    /// The offset it shows, and whether its link is up; nothing where it shows none.
    fn place(&mut self, era: Era) -> Result<Option<(Option<i64>, bool)>, Stop> {
        if era == Era::Sync || !self.profile.offers(ControlName::Info) {
            return Ok(None);
        }
        let shown = self.control.replication()?;
        Ok(Some(match shown.link {
            Some(link) => (Some(link.offset), link.up),
            None => (shown.offset, true),
        }))
    }
}

/// Snapshots begin at once, in the way asked for.
fn directives(profile: &Profile, framing: Framing) -> Vec<(&'static str, &'static str)> {
    let is_direct = match framing {
        Framing::Disk => "no",
        Framing::Socket => "yes",
    };
    let all = [
        (ControlName::DisklessSync, "repl-diskless-sync", is_direct),
        (ControlName::DisklessDelay, "repl-diskless-sync-delay", "0"),
    ];
    let offered = all
        .into_iter()
        .filter(|(control, ..)| profile.offers(*control));
    offered.map(|(_, name, value)| (name, value)).collect()
}

/// The primary's data after so many of the writes.
fn data_after(writes: usize) -> DataSet {
    let mut data = DataSet::new();
    data.insert(0, BASE.0, BASE.1);
    for (database, _, (key, value)) in &WRITES[..writes] {
        data.insert(*database, *key, *value);
    }
    data
}

/// What the replica holds before it follows.
fn old_data() -> DataSet {
    let mut data = DataSet::new();
    data.insert(0, OLD.0, OLD.1);
    data
}

impl Conversation {
    /// Two servers that know nothing of each other, and the way between them.
    fn begin(setup: &Setup, place: Option<Place>) -> anyhow::Result<Self> {
        let (primary, replica) = match setup.casting {
            Casting::Primary => (&setup.subject, &setup.peer),
            Casting::Replica => (&setup.peer, &setup.subject),
            Casting::Whole => (&setup.subject, &setup.subject),
        };
        let primary = Server::start(primary, setup.framing, BASE)?;
        let replica = Server::start(replica, setup.framing, OLD)?;
        let fails = place.map(|place| Fails {
            damage: place.damage,
            from: place.from,
            after: place.byte,
        });
        let gate = Gate::before(primary.subject.addr(), fails)
            .context("could not stand between the servers")?;
        let log = tempfile::tempdir().context("could not make a folder for the log")?;
        let found = Arc::new(Mutex::new(Vec::new()));
        let options = TapOptions {
            listen: "127.0.0.1:0".parse()?,
            primary: gate.addr(),
            memory_bytes: MEMORY_BYTES,
            log: Some(log.path().join("wire.jsonl")),
        };
        let (state, findings) = (Arc::clone(gate.state()), Arc::clone(&found));
        let tap = Tap::start(&options, move |said| match said {
            Said::Finding(finding) if finding.rule.is_proof() => {
                let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
                findings.push(finding);
            }
            Said::Finding(_) => {}
            // Every answer to a request is worth a note.
            Said::Note { .. } => state.change(|state| state.answers += 1),
        })?;
        Ok(Self {
            primary,
            replica,
            tap,
            gate,
            found,
            log,
        })
    }

    /// The conversation from its first byte to its last, and what it must have led to.
    fn held(mut self, place: Option<Place>) -> Held {
        let held = self.hold(place);
        // What the watcher found came first, and says more than what became of it.
        let held = match (held, self.findings().first()) {
            (Ok(()) | Err(Stop::Wrong(_)), Some(finding)) => {
                Err(Stop::Wrong(Wrong::found(finding)))
            }
            (held, _) => held,
        };
        match held.map_err(|stop| self.blame_the_dead(stop)) {
            Ok(()) => Ok(Ok(Right {
                lengths: Lengths {
                    from_replica: self.gate.passed(End::Client),
                    from_primary: self.gate.passed(End::Server),
                },
                has_failed: self.gate.has_failed(),
            })),
            Err(Stop::Harness(error)) => Err(error),
            Err(Stop::Wrong(wrong)) => {
                self.tap.stop()?;
                let log = self.log.path().join("wire.jsonl");
                let log = fs::read(log).context("could not read the log of a conversation")?;
                Ok(Err(Wrong { log, ..wrong }))
            }
        }
    }

    fn hold(&mut self, place: Option<Place>) -> Result<(), Stop> {
        follow(&mut self.replica.control, self.tap.addr())?;
        let deadline = self.deadline();
        let is_answered = |state: &State| state.has_failed || state.answers > 0;
        if !self.gate.wait(deadline, is_answered) {
            return Err(self.did_not_arrive("no request was answered"));
        }
        for (database, words, _) in WRITES {
            self.primary.control.select(database)?;
            self.primary.control.accepted(words)?;
        }
        self.primary.control.select(0)?;
        let fails = place.is_some() && self.fails_on_the_way()?;
        let has_new_data = match place.filter(|_| fails) {
            Some(place) => self.live_through(place)?,
            None => false,
        };
        self.await_arrival()?;
        self.judge_answers(has_new_data)
    }

    /// Waits until the network has failed, or the conversation is over without it.
    fn fails_on_the_way(&mut self) -> Result<bool, Stop> {
        let deadline = self.deadline();
        let (_, _, (key, value)) = WRITES[WRITES.len() - 1];
        loop {
            let has_failed = || self.gate.has_failed();
            let Some(last) = self.replica.ask_until(&["GET", key], has_failed)? else {
                return Ok(true);
            };
            if self.gate.has_failed() {
                return Ok(true);
            }
            if last == Reply::Bulk(value.as_bytes().to_vec()) && self.has_arrived()? {
                return Ok(false);
            }
            if deadline.remaining().is_none() {
                return Err(self.did_not_arrive("the network works"));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// The network has failed, and works again after a while. Answers whether the replica held new data in between.
    fn live_through(&mut self, place: Place) -> Result<bool, Stop> {
        match place.damage {
            Damage::Stall => {
                self.primary.look()?;
                self.replica.look()?;
                self.gate.open();
                self.primary.settle()?;
                self.replica.settle()?;
                Ok(false)
            }
            Damage::Cut => {
                self.let_load()?;
                self.gate.end_connection();
                self.replica.settle()?;
                let has_new_data = self.between_connections()?;
                self.gate.open();
                Ok(has_new_data)
            }
        }
    }

    /// Gives the replica the time to load what it has been sent, if that is a whole snapshot: many would drop it with the
    /// connection.
    fn let_load(&mut self) -> Result<(), Stop> {
        let quiet = Deadline::after(self.replica.profile.waits.settle_ms.duration());
        while quiet.remaining().is_some() && !self.replica.owes_answer {
            let is_loaded = |reply: &Reply| *reply != Reply::Nil;
            let asked = self
                .replica
                .ask_until(&["GET", BASE.0], || quiet.remaining().is_none())?;
            if asked.as_ref().is_some_and(is_loaded) {
                break;
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// What the replica holds when it has lost its connection and knows it, for it has come again and is kept waiting:
    /// answers whether these are new data.
    fn between_connections(&mut self) -> Result<bool, Stop> {
        if !self
            .gate
            .wait(self.deadline(), |state| state.connections > 1)
        {
            return Err(self.did_not_arrive("the connection was cut, and no other came"));
        }
        let data = self.replica.settled_data(self.deadline())?;
        let is_new = (0..=WRITES.len()).any(|writes| data == data_after(writes));
        if !is_new && data != old_data() {
            let expected = format!("{:?}, or a state of the primary's data", old_data());
            return Err(wrong(
                Required::OldDataStay,
                &expected,
                &format!("{data:?}"),
            ));
        }
        Ok(is_new)
    }

    fn await_arrival(&mut self) -> Result<(), Stop> {
        let deadline = self.deadline();
        while !self.has_arrived()? {
            if deadline.remaining().is_none() {
                return Err(self.did_not_arrive("the network works again"));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Whether the replica has all its primary's data, and both show the same offset.
    fn has_arrived(&mut self) -> Result<bool, Stop> {
        let (_, _, (key, value)) = WRITES[WRITES.len() - 1];
        let last = self.replica.control.command(&["GET", key])?;
        if last != Reply::Bulk(value.as_bytes().to_vec()) {
            return Ok(false);
        }
        let is_whole = self.replica.data()? == Some(data_after(WRITES.len()));
        let era = self.primary.profile.era;
        let (primary, replica) = (self.primary.place(era)?, self.replica.place(era)?);
        let is_level = match (primary, replica) {
            (Some((offset, _)), Some((own, is_up))) => is_up && own == offset,
            _ => true,
        };
        Ok(is_whole && is_level)
    }

    /// What is left of a copy need not be fetched again.
    fn judge_answers(&mut self, had_new_data: bool) -> Result<(), Stop> {
        let counts = self.tap.status().0.counts;
        let has_labels = self.primary.profile.era != Era::Sync;
        if had_new_data && has_labels && counts.continued == 0 {
            let came = format!("{} snapshots and no +CONTINUE", counts.full);
            let expected =
                "a continuation: the replica had loaded a snapshot, and the backlog held the rest";
            return Err(wrong(Required::Continuation, expected, &came));
        }
        Ok(())
    }

    fn did_not_arrive(&mut self, when: &str) -> Stop {
        let shown = |server: &mut Server| match server.data() {
            Ok(Some(data)) => format!("{data:?}"),
            Ok(None) => "nothing, for it is loading".to_owned(),
            Err(_) => "nothing, for it does not answer".to_owned(),
        };
        let came = format!(
            "{when}, and the replica held {} where the primary held {}; the replica last printed:\n{}",
            shown(&mut self.replica),
            shown(&mut self.primary),
            self.replica.subject.output_tail()
        );
        let waited_ms = self.deadline().limit_ms();
        let expected =
            format!("equal data and offsets, and a link that is up, within {waited_ms} ms");
        wrong(Required::DataArrive, &expected, &came)
    }

    /// What looks like trouble of the harness is a server's when that server is no longer there.
    fn blame_the_dead(&mut self, stop: Stop) -> Stop {
        for (name, server) in [
            ("primary", &mut self.primary),
            ("replica", &mut self.replica),
        ] {
            if let Ok(Some(status)) = server.subject.ended() {
                let came = format!(
                    "the {name} ended with {status}; it last printed:\n{}",
                    server.subject.output_tail()
                );
                return wrong(
                    Required::DataArrive,
                    "two servers that run until they are told to end",
                    &came,
                );
            }
        }
        stop
    }

    fn findings(&self) -> Vec<Finding> {
        let findings = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        findings.clone()
    }

    fn deadline(&self) -> Deadline {
        let waits = [&self.primary, &self.replica].map(|server| server.profile.waits.observe_ms);
        Deadline::after(waits[0].max(waits[1]).duration())
    }
}

fn wrong(required: Required, expected: &str, came: &str) -> Stop {
    Stop::Wrong(Wrong::new(required, expected, came))
}

/// Tells a server whom to follow, in the words it knows.
fn follow(replica: &mut Control, primary: SocketAddr) -> anyhow::Result<()> {
    let (host, port) = (primary.ip().to_string(), primary.port().to_string());
    match replica.command(&["REPLICAOF", &host, &port])? {
        Reply::Error(_) => Ok(replica.expect_ok(&["SLAVEOF", &host, &port])?),
        _ => Ok(()),
    }
}
