//! Who is judged: the options that name a subject, and everything that is refused before anything is touched.

use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;
use psync_conformance::guard::{self, Permission};
use psync_conformance::process::{StartOptions, Subject};
use psync_conformance::profile::{Access, Profile};
use psync_conformance::reply::Reply;
use psync_conformance::stage::as_replica::played_era;
use psync_conformance::transcript::{CaseClock, Transcript};
use psync_model::rulebook::Era;

/// The subject that is judged unless another is named: this program itself, as the embedded server.
pub(crate) const EMBEDDED: &str = "psync";

/// The eras of the main job, the oldest first. `psync2` differs from its successor only where promotion and
/// restarts matter, and can be asked for.
const MAIN_ERAS: [Era; 3] = [Era::Sync, Era::Psync, Era::Psync2V7];

/// Who is judged.
#[derive(Debug, Clone, Args)]
pub(crate) struct SubjectArgs {
    /// Who is judged: `psync` (our own server), `redis`, `valkey`, or a profile in a file
    #[arg(long, value_name = "NAME|FILE.toml", default_value = EMBEDDED)]
    pub(crate) subject: String,
    /// Let the embedded server be wrong in one way (needs the cargo feature `faults`; `psync-model faults` lists them)
    #[arg(long, value_name = "NAME")]
    pub(crate) fault: Option<String>,
    /// Touch a server that is not on this machine
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// Touch a server that holds data or follows another
    #[arg(long)]
    pub(crate) allow_data: bool,
}

impl Default for SubjectArgs {
    fn default() -> Self {
        Self {
            subject: EMBEDDED.to_owned(),
            fault: None,
            allow_remote: false,
            allow_data: false,
        }
    }
}

impl SubjectArgs {
    /// The profile, once it is known that the subject may be judged.
    pub(crate) fn profile(&self) -> anyhow::Result<Profile> {
        let mut profile = Profile::load(&self.subject)?;
        if let Access::Connect(address) = &profile.access {
            self.refuse_running(address, &profile)?;
        }
        if let Some(fault) = &self.fault {
            self.refuse_fault(fault)?;
            profile.config.insert("fault".to_owned(), fault.clone());
        }
        Ok(profile)
    }

    /// The eras to be judged unless the user names others.
    pub(crate) fn eras(&self, profile: &Profile) -> Vec<Era> {
        let fault = self.fault.as_deref().and_then(psync_model::fault::named);
        let shows = |era: &Era| fault.is_none_or(|fault| fault.in_era(*era).is_some());
        let claimed = |era: &Era| played_era(*era) == profile.era;
        if self.subject == EMBEDDED {
            MAIN_ERAS.into_iter().filter(shows).collect()
        } else {
            Era::ALL.into_iter().filter(claimed).collect()
        }
    }

    /// What to add to a command so that it means the same subject.
    pub(crate) fn as_options(&self) -> String {
        let fault = self.fault.as_ref();
        let fault = fault.map_or_else(String::new, |name| format!(" --fault {name}"));
        format!("--subject {}{fault}", self.subject)
    }

    fn refuse_fault(&self, name: &str) -> anyhow::Result<()> {
        ensure!(
            self.subject == EMBEDDED,
            "--fault makes the embedded server wrong; {} is another server",
            self.subject
        );
        ensure!(
            cfg!(feature = "faults"),
            "this build is honest: --fault {name} needs the cargo feature `faults` (cargo run --features faults)"
        );
        ensure!(
            psync_model::fault::named(name).is_some(),
            "there is no fault called {name}; `psync-model faults` lists them"
        );
        Ok(())
    }

    fn refuse_running(&self, address: &str, profile: &Profile) -> anyhow::Result<()> {
        let permission = Permission {
            remote: self.allow_remote,
            data: self.allow_data,
        };
        let addr = guard::resolve(address, permission)?;
        let transcript = Transcript::new("guard", CaseClock::start());
        let limit = profile.waits.reply_ms.duration();
        let mut control = psync_conformance::control::Control::connect(addr, limit, transcript)
            .with_context(|| format!("{} cannot be reached at {addr}", profile.name))?;
        guard::check_empty(&mut control, permission)?;
        bail!(
            "{} runs already at {addr}; this version judges only servers that it starts itself: give the profile a command",
            profile.name
        )
    }
}

/// Starts the subject, talks to it as any client would, and ends it: a dead server is called dead.
pub(crate) fn sanity(profile: &Profile) -> anyhow::Result<()> {
    let started = Instant::now();
    let conversation = || -> anyhow::Result<()> {
        let subject = Subject::start(profile, &StartOptions::default())?;
        let mut control = subject.control(Transcript::new("sanity", CaseClock::start()))?;
        control.expect_ok(&["SET", "sanity", "yes"])?;
        let came = control.command(&["GET", "sanity"])?;
        ensure!(came == Reply::Bulk(b"yes".to_vec()), "GET returned {came}");
        let came = control.command(&["DEL", "sanity"])?;
        ensure!(came == Reply::Integer(1), "DEL returned {came}");
        Ok(())
    };
    conversation().with_context(|| {
        let waited_ms = started.elapsed().as_millis();
        format!(
            "{} does not work as a server at all (tried for {waited_ms} ms)",
            profile.name
        )
    })
}
