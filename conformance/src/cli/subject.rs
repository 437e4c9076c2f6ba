//! Who is judged: the options that name a subject, and everything that is refused before anything is touched.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;
use psync_conformance::control::Control;
use psync_conformance::discover::{Found, Settings, discover};
use psync_conformance::era::model_era;
use psync_conformance::guard::{self, Permission};
use psync_conformance::process::Subject;
use psync_conformance::profile::{Access, ControlName, Profile};
use psync_conformance::reply::Reply;
use psync_conformance::transcript::{CaseClock, Transcript};
use psync_model::casting::Casting;
use psync_model::rulebook::Era;

use super::list::Choice;

/// The subject that is judged unless another is named: this program itself, as the embedded server.
pub(crate) const EMBEDDED: &str = "psync";

/// The eras of the main job, the oldest first: all there are.
const MAIN_ERAS: [Era; 4] = Era::ALL;

/// Who is judged.
#[derive(Debug, Clone, Args)]
pub(crate) struct SubjectArgs {
    /// Who is judged: `psync` (our own server), `redis`, `valkey`, another profile that ships, or one in a file
    #[arg(long, value_name = "NAME|FILE.toml", default_value = EMBEDDED)]
    pub(crate) subject: String,
    /// Start this program in place of the profile's own: another build of the same server
    #[arg(long, value_name = "PATH", conflicts_with_all = ["connect", "command"])]
    pub(crate) program: Option<PathBuf>,
    /// Judge a server without a profile, started by this command: `my-server --port {port}`, and where it can follow
    /// another `--replicaof {primary_host} {primary_port}`
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["connect", "subject"])]
    pub(crate) command: Option<String>,
    /// Judge a server without a profile that runs already, as a primary; everything in it is deleted
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "subject")]
    pub(crate) connect: Option<String>,
    /// Let the embedded server be wrong in one way (needs the cargo feature `faults`; `psync-model faults` lists them)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["connect", "command", "program"])]
    pub(crate) fault: Option<String>,
    /// Touch a server that is not on this machine
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// Touch a server that holds data or follows another
    #[arg(long)]
    pub(crate) allow_data: bool,
}

/// A subject that may be judged, and by which eras.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The subject.
    pub(crate) profile: Profile,
    /// The eras.
    pub(crate) eras: Vec<Era>,
}

impl Default for SubjectArgs {
    fn default() -> Self {
        Self {
            subject: EMBEDDED.to_owned(),
            program: None,
            command: None,
            connect: None,
            fault: None,
            allow_remote: false,
            allow_data: false,
        }
    }
}

impl SubjectArgs {
    /// The profile and the eras, once it is known that the subject may be judged. A subject without a profile, or
    /// whose era is to be found out, is talked to first.
    pub(crate) fn choose(&self, choice: &Choice) -> anyhow::Result<Chosen> {
        let mut profile = self.profile()?;
        if let Access::Connect(address) = &profile.access {
            self.refuse_precious(address, &profile)?;
        }
        let has_profile = self.has_profile();
        if !has_profile || choice.is_auto() {
            let found = discover(&profile)
                .with_context(|| format!("could not find out what {} is", profile.name))?;
            tell(&found);
            if has_profile {
                profile.era = found.profile.era;
            } else {
                profile = found.profile;
            }
            refuse_unforgetful(&profile)?;
        }
        let shown = model_era(profile.era);
        let eras = choice.eras(&self.claimed(&profile), shown);
        Ok(Chosen { profile, eras })
    }

    /// Whether the subject is one that somebody has described.
    fn has_profile(&self) -> bool {
        self.connect.is_none() && self.command.is_none()
    }

    fn profile(&self) -> anyhow::Result<Profile> {
        if let Some(command) = &self.command {
            return Ok(Profile::of_command(command)?);
        }
        if let Some(address) = &self.connect {
            return Ok(Profile::of_address(address));
        }
        let mut profile = Profile::load(&self.subject)?;
        if let Some(program) = &self.program {
            ensure!(
                self.subject != EMBEDDED && profile.replace_program(program),
                "--program needs a profile that starts a server: {} is not started by its path",
                self.subject
            );
        }
        if let Some(fault) = &self.fault {
            self.refuse_fault(fault)?;
            profile.config.insert("fault".to_owned(), fault.clone());
        }
        Ok(profile)
    }

    /// The eras to be judged unless the user names others.
    fn claimed(&self, profile: &Profile) -> Vec<Era> {
        let fault = self.fault.as_deref().and_then(psync_model::fault::named);
        let shows = |era: &Era| fault.is_none_or(|fault| fault.in_era(*era).is_some());
        if self.has_profile() && self.subject == EMBEDDED {
            MAIN_ERAS.into_iter().filter(shows).collect()
        } else {
            vec![model_era(profile.era)]
        }
    }

    /// What to add to a command so that it means the same subject.
    pub(crate) fn as_options(&self) -> String {
        if let Some(command) = &self.command {
            return format!("--command '{command}'");
        }
        if let Some(address) = &self.connect {
            return format!("--connect {address}");
        }
        let program = self.program.as_ref();
        let program =
            program.map_or_else(String::new, |path| format!(" --program {}", path.display()));
        let fault = self.fault.as_ref();
        let fault = fault.map_or_else(String::new, |name| format!(" --fault {name}"));
        format!("--subject {}{program}{fault}", self.subject)
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

    /// Nobody loses data to us, unless they said so in so many words.
    fn refuse_precious(&self, address: &str, profile: &Profile) -> anyhow::Result<()> {
        let permission = Permission {
            remote: self.allow_remote,
            data: self.allow_data,
        };
        let addr = guard::resolve(address, permission)?;
        let transcript = Transcript::new("guard", CaseClock::start());
        let limit = profile.waits.reply_ms.duration();
        let mut control = Control::connect(addr, limit, transcript)
            .with_context(|| format!("{} cannot be reached at {addr}", profile.name))?;
        Ok(guard::check_empty(&mut control, permission)?)
    }
}

/// A server that runs already keeps its process from case to case, and must be able to forget.
fn refuse_unforgetful(profile: &Profile) -> anyhow::Result<()> {
    let forgets = profile.offers(ControlName::BacklogTtl) && profile.offers(ControlName::Info);
    ensure!(
        !matches!(profile.access, Access::Connect(_)) || forgets,
        "{} cannot be brought back to a fresh beginning between two cases: that takes INFO and CONFIG SET \
         repl-backlog-ttl. Let the judge start it instead, with --command",
        profile.name
    );
    Ok(())
}

fn tell(found: &Found) {
    let profile = &found.profile;
    let controls: Vec<String> = profile.controls.iter().map(ToString::to_string).collect();
    eprintln!("{}: speaks like era {}", profile.name, profile.era.name());
    for reason in &found.because {
        eprintln!("  {reason}");
    }
    eprintln!("  offers: {}", controls.join(", "));
}

/// What a server that ran before is set to, to be set to again at the end.
pub(crate) fn settings(profile: &Profile) -> anyhow::Result<Option<Settings>> {
    match &profile.access {
        Access::Connect(_) => Ok(Some(Settings::of(&mut control(profile)?)?)),
        Access::Start { .. } => Ok(None),
    }
}

/// Sets it to that again, and takes the judge's own keys away.
pub(crate) fn restore(profile: &Profile, settings: Option<&Settings>) -> anyhow::Result<()> {
    if let Some(settings) = settings {
        let mut control = control(profile)?;
        control.expect_ok(&["FLUSHALL"])?;
        settings.restore(&mut control)?;
    }
    Ok(())
}

fn control(profile: &Profile) -> anyhow::Result<Control> {
    let subject = Subject::of(profile)?;
    Ok(subject.control(Transcript::new("settings", CaseClock::start()))?)
}

/// Starts the subject, talks to it as any client would, and ends it: a dead server is called dead. One that is only to be
/// a replica need not be able to do anything else, and its first case shows whether it lives.
pub(crate) fn sanity(profile: &Profile, castings: &[Casting]) -> anyhow::Result<()> {
    if castings.iter().all(|casting| *casting == Casting::Replica) {
        return Ok(());
    }
    let started = Instant::now();
    let conversation = || -> anyhow::Result<()> {
        let subject = Subject::of(profile)?;
        let mut control = subject.control(Transcript::new("sanity", CaseClock::start()))?;
        control.expect_ok(&["SET", "sanity", "yes"])?;
        let came = control.command(&["GET", "sanity"])?;
        ensure!(came == Reply::Bulk(b"yes".to_vec()), "GET returned {came}");
        // What the judge has started ends with its data.
        if matches!(profile.access, Access::Connect(_)) {
            let came = control.command(&["DEL", "sanity"])?;
            ensure!(came == Reply::Integer(1), "DEL returned {came}");
        }
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
