//! The beginning of a case: a subject that is as fresh as the model's first world, and configured.
//!
//! A server of the harness's own is started anew. One that ran already keeps its process: what it holds is deleted, and
//! its backlog is let expire, which takes its past from it (`PROTOCOL §3.6`).
use std::net::SocketAddr;

use psync_model::rules::Setting;

use super::{Server, Trouble, required};
use crate::binding::backlog_bytes;
use crate::conn::Deadline;
use crate::control::Control;
use crate::discover::CALMING;
use crate::process::{StartOptions, Subject};
use crate::profile::{Access, ControlName, Profile};
use crate::transcript::Transcript;

/// A delay that holds snapshots back until told otherwise, in seconds.
pub(super) const HELD_DELAY_S: u32 = 3_600;

/// A subject at its beginning, with a control connection.
pub fn open(
    profile: &Profile,
    setting: &Setting,
    primary: Option<SocketAddr>,
    transcript: Transcript,
) -> Result<Server, Trouble> {
    let (subject, mut control) = match &profile.access {
        Access::Start { .. } => {
            let subject = Subject::start(profile, &start_options(profile, setting, primary))?;
            let control = subject.control(transcript)?;
            (subject, control)
        }
        Access::Connect(_) => running(profile, transcript)?,
    };
    configure(&mut control, profile, setting)?;
    Ok(Server {
        subject,
        control,
        blocking: None,
    })
}

/// What is given to a subject at its start: all it is configured with, if it takes directives.
pub fn start_options(
    profile: &Profile,
    setting: &Setting,
    primary: Option<SocketAddr>,
) -> StartOptions {
    let directives = if profile.offers(ControlName::Directives) {
        directives(profile, setting)
    } else {
        Vec::new()
    };
    let words = directives.into_iter();
    StartOptions {
        program: None,
        primary,
        extra_args: words
            .flat_map(|(name, value)| [format!("--{name}"), value])
            .collect(),
    }
}

/// The same for a subject that does not: it is told while it runs.
pub fn configure(
    control: &mut Control,
    profile: &Profile,
    setting: &Setting,
) -> Result<(), Trouble> {
    if profile.offers(ControlName::Directives) || !profile.offers(ControlName::ConfigSet) {
        return Ok(());
    }
    for (name, value) in CALMING {
        // Whoever has no such directive does nothing of the kind, or cannot be kept from it.
        required(
            control.command(&["CONFIG", "SET", name, value]),
            "configure the subject",
        )?;
    }
    for (name, value) in directives(profile, setting) {
        let set = control.expect_ok(&["CONFIG", "SET", name, &value]);
        required(set, "configure the subject")?;
    }
    Ok(())
}

/// What every case begins with: nothing expires, and no snapshot begins by itself.
fn directives(profile: &Profile, setting: &Setting) -> Vec<(&'static str, String)> {
    let backlog = backlog_bytes(setting.backlog_commands).to_string();
    let all = [
        (ControlName::BacklogSize, "repl-backlog-size", backlog),
        (ControlName::BacklogTtl, "repl-backlog-ttl", "0".to_owned()),
        (
            ControlName::DisklessDelay,
            "repl-diskless-sync",
            "yes".to_owned(),
        ),
        (
            ControlName::DisklessDelay,
            "repl-diskless-sync-delay",
            HELD_DELAY_S.to_string(),
        ),
    ];
    let offered = all
        .into_iter()
        .filter(|(control, ..)| profile.offers(*control));
    offered.map(|(_, name, value)| (name, value)).collect()
}

/// A server that runs already, without data, replicas or past.
fn running(profile: &Profile, transcript: Transcript) -> Result<(Subject, Control), Trouble> {
    let subject = Subject::of(profile)?;
    let mut control = subject.control(transcript)?;
    let deadline = || Deadline::after(profile.waits.observe_ms.duration());
    required(
        control.expect_ok(&["FLUSHALL"]),
        "delete what the case before left",
    )?;
    let alone = control.wait_replication("a primary without replicas", deadline(), |shown| {
        shown.replicas.is_empty()
    });
    required(alone, "see the replicas of the case before go")?;
    let ttl = |control: &mut Control, seconds: &str| {
        let set = control.expect_ok(&["CONFIG", "SET", "repl-backlog-ttl", seconds]);
        required(set, "let the backlog expire")
    };
    ttl(&mut control, "1")?;
    let forgotten = control.wait_replication("an expired backlog", deadline(), |shown| {
        !shown.backlog.active
    });
    required(forgotten, "let the subject forget the case before")?;
    ttl(&mut control, "0")?;
    Ok((subject, control))
}
