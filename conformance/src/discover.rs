//! What a server that nobody has described claims and offers, found out by talking to it: the era by its answers, the
//! controls by whether it takes them.
//!
//! Nothing here judges. What is found is a profile; a server that answers unlike any era is given the newest, and
//! judged by that.
use anyhow::Context;
use psync_model::world::Framing;

use crate::conn::Deadline;
use crate::control::Control;
use crate::era::Era;
use crate::info::Info;
use crate::played::{Answer, PlayedPrimary, PlayedReplica, Request};
use crate::process::{StartOptions, Subject};
use crate::profile::{ControlName, Profile};
use crate::reply::Reply;
use crate::transcript::{CaseClock, Transcript};
use crate::wire;

/// A key that is written and deleted again, to have something in the backlog.
const KEY: &str = "psync-conformance";

/// The controls that are directives, by their names (`PROTOCOL §7.2`).
const DIRECTIVES: [(ControlName, &str); 5] = [
    (ControlName::BacklogSize, "repl-backlog-size"),
    (ControlName::BacklogTtl, "repl-backlog-ttl"),
    (ControlName::DisklessSync, "repl-diskless-sync"),
    (ControlName::DisklessDelay, "repl-diskless-sync-delay"),
    (ControlName::KeySaveDelay, "rdb-key-save-delay"),
];

/// What else the harness changes where it can, so that nothing happens by itself.
pub const CALMING: [(&str, &str); 2] = [
    ("repl-ping-replica-period", "3600"),
    ("repl-ping-slave-period", "3600"),
];

/// The directives of a server that ran before the harness came, as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(Vec<(&'static str, String)>);

/// What was found, with a sentence for each thing that decided it.
#[derive(Debug)]
pub struct Found {
    /// The profile with everything filled in.
    pub profile: Profile,
    /// Why, a sentence each.
    pub because: Vec<String>,
}

/// One conversation with a server.
struct Conversation {
    subject: Subject,
    control: Control,
    profile: Profile,
    because: Vec<String>,
}

/// Starts the server, or finds it running, and talks to it.
pub fn discover(profile: &Profile) -> anyhow::Result<Found> {
    let mut conversation = Conversation::begin(profile)?;
    conversation.find_controls()?;
    let era = conversation.find_era()?;
    let Conversation {
        mut profile,
        because,
        ..
    } = conversation;
    profile.era = era;
    Ok(Found { profile, because })
}

impl Settings {
    /// Those of a server.
    pub fn of(control: &mut Control) -> anyhow::Result<Self> {
        let named = DIRECTIVES.iter().map(|(_, name)| *name);
        let mut settings = Vec::new();
        for name in named.chain(CALMING.map(|(name, _)| name)) {
            let shown = control.command(&["CONFIG", "GET", name])?;
            settings.extend(value_in(&shown).map(|value| (name, value)));
        }
        Ok(Self(settings))
    }

    /// Sets them again.
    pub fn restore(&self, control: &mut Control) -> anyhow::Result<()> {
        for (name, value) in &self.0 {
            control.expect_ok(&["CONFIG", "SET", name, value])?;
        }
        Ok(())
    }
}

impl Conversation {
    fn begin(profile: &Profile) -> anyhow::Result<Self> {
        let transcript = Transcript::new("discovery", CaseClock::start());
        let subject = Subject::of(profile)?;
        let control = subject.control(transcript)?;
        Ok(Self {
            subject,
            control,
            profile: profile.clone(),
            because: Vec::new(),
        })
    }

    fn because(&mut self, reason: impl Into<String>) {
        self.because.push(reason.into());
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.profile.waits.observe_ms.duration())
    }

    fn find_controls(&mut self) -> anyhow::Result<()> {
        let mut found = Vec::new();
        match self.probe(&["INFO", "replication"])? {
            Some(Reply::Bulk(text)) => match Info::parse(&wire::lossy(&text)).replication() {
                Ok(_) => found.push(ControlName::Info),
                Err(error) => self.because(format!("INFO does not say enough: {error}")),
            },
            came => {
                let came = came.map_or_else(|| "nothing".to_owned(), |came| came.to_string());
                self.because(format!("to INFO replication it answers {came}"));
            }
        }
        for (control, name) in DIRECTIVES {
            let Some(shown) = self.probe(&["CONFIG", "GET", name])? else {
                break;
            };
            let Some(value) = value_in(&shown) else {
                continue;
            };
            let set = self.probe(&["CONFIG", "SET", name, &value])?;
            if matches!(set, Some(Reply::Status(_))) {
                found.extend([control, ControlName::ConfigSet]);
            }
        }
        let is_ours = self.subject.process_id().is_some();
        if is_ours && matches!(self.probe(&["SAVE"])?, Some(Reply::Status(_))) {
            found.push(ControlName::Save);
        }
        self.profile.controls.extend(found);
        Ok(())
    }

    /// What it answers to a command that it may not know. Some servers say nothing then, and what they may still say must
    /// not be taken for another answer: the conversation goes on on a new connection.
    fn probe(&mut self, words: &[&str]) -> anyhow::Result<Option<Reply>> {
        if let Ok(reply) = self.control.command(words) {
            return Ok(Some(reply));
        }
        let transcript = Transcript::new("discovery", CaseClock::start());
        self.control = self.subject.control(transcript)?;
        Ok(None)
    }

    /// By its answers to a replica; if it knows neither SYNC nor PSYNC, by what it asks as one.
    fn find_era(&mut self) -> anyhow::Result<Era> {
        if self.profile.offers(ControlName::DisklessDelay) {
            let now = ["CONFIG", "SET", "repl-diskless-sync-delay", "0"];
            self.control.expect_ok(&now)?;
        }
        let mut replica = self.replica()?;
        replica.ask(&Request::from_nothing())?;
        let Answer::FullResync { id, offset } = replica.answer(self.deadline())? else {
            return self.era_without_psync();
        };
        let (framing, _) = replica.payload(self.deadline())?;
        self.profile.snapshot = match framing {
            wire::Framing::Length(_) => Framing::Disk,
            wire::Framing::Mark(_) => Framing::Socket,
        };
        drop(replica);
        let mut again = self.replica()?;
        let next_byte = offset + 1;
        again.ask(&Request::Psync { id, next_byte })?;
        let named = match again.answer(self.deadline())? {
            Answer::Continue { id: Some(_) } => {
                self.because("+CONTINUE names the history, as from 4.0 on");
                true
            }
            Answer::Continue { id: None } => {
                self.because("+CONTINUE names no history, as up to 3.2");
                false
            }
            _ => {
                let info = self.control.info("replication");
                let named = info.is_ok_and(|info| info.get("master_replid").is_some());
                let shows = if named { "shows" } else { "does not show" };
                self.because(format!("INFO {shows} master_replid"));
                named
            }
        };
        if named {
            self.era_with_ids()
        } else {
            Ok(Era::Psync)
        }
    }

    fn era_without_psync(&mut self) -> anyhow::Result<Era> {
        if !self.profile.can_follow() {
            self.because("PSYNC is answered with an error");
            return Ok(Era::Sync);
        }
        let limit = self.profile.waits.reply_ms.duration();
        let played = PlayedPrimary::listen(limit, Transcript::new("played", CaseClock::start()))?;
        let options = StartOptions {
            primary: Some(played.addr()),
            ..StartOptions::default()
        };
        let _replica = Subject::start(&self.profile, &options)?;
        let (link, request) = played.next_request(self.deadline())?;
        self.because(format!("as a replica it asks {request}"));
        if request == Request::Sync {
            return Ok(Era::Sync);
        }
        let knows_ids = played.handshake(link).iter().any(|command| {
            let words = command.args().iter();
            words
                .into_iter()
                .any(|word| word.eq_ignore_ascii_case(b"psync2"))
        });
        if knows_ids {
            self.because("it announces capa psync2");
            return self.era_with_ids();
        }
        Ok(Era::Psync)
    }

    /// To 6.2 a backlog that is resized loses what it holds; from 7.0 on it keeps it (`PROTOCOL §3.6`).
    fn era_with_ids(&mut self) -> anyhow::Result<Era> {
        let server = self.control.info("server").unwrap_or_default();
        if let Some(keeps) = self.keeps_resized_backlog()? {
            let loses = if keeps { "keeps" } else { "loses" };
            self.because(format!("a backlog that is resized {loses} what it holds"));
            return Ok(if keeps { Era::Psync2V7 } else { Era::Psync2 });
        }
        let Some(major) = major_version(&server) else {
            self.because("nothing tells 4.0 to 6.2 from 7.0, so the newest it is");
            return Ok(Era::Psync2V7);
        };
        self.because(format!("INFO says that it is version {major}"));
        Ok(if major < 7 {
            Era::Psync2
        } else {
            Era::Psync2V7
        })
    }

    fn keeps_resized_backlog(&mut self) -> anyhow::Result<Option<bool>> {
        let can = |control| self.profile.offers(control);
        if !can(ControlName::BacklogSize) || !can(ControlName::Info) {
            return Ok(None);
        }
        self.control.expect_ok(&["SET", KEY, "a few bytes"])?;
        self.control.accepted(&["DEL", KEY])?;
        let before = self.control.replication()?.backlog;
        let resize = |control: &mut Control, bytes: i64| {
            control.expect_ok(&["CONFIG", "SET", "repl-backlog-size", &bytes.to_string()])
        };
        resize(&mut self.control, before.size * 2)?;
        let after = self.control.replication()?.backlog;
        resize(&mut self.control, before.size)?;
        Ok((before.length > 0).then_some(after.length > 0))
    }

    fn replica(&self) -> anyhow::Result<PlayedReplica> {
        let transcript = Transcript::new("discovery", CaseClock::start());
        let limit = self.profile.waits.reply_ms.duration();
        let connected =
            PlayedReplica::handshake(self.subject.addr(), Era::Psync2V7, 1, limit, transcript);
        connected.context("it does not answer the handshake of a replica, PING and REPLCONF")
    }
}

/// The value of a directive in the answer to `CONFIG GET`, if the server has it.
fn value_in(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Array(items) => match &items[..] {
            [Reply::Bulk(_), Reply::Bulk(value)] => Some(wire::lossy(value)),
            _ => None,
        },
        _ => None,
    }
}

/// The first number of the version that a server says it is. Valkey is newer than any version that matters here.
fn major_version(server: &Info) -> Option<u32> {
    let version = server
        .get("valkey_version")
        .or_else(|| server.get("redis_version"))?;
    version.split('.').next()?.parse().ok()
}
