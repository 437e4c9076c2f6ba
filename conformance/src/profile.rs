//! Subject profiles: what a server is, how it is started and what the harness may do with it, as a short TOML file.
//! Times are milliseconds. A profile says what a server *offers*; what it must do is the specification's affair.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use psync_model::world::Framing;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::deviation::Deviation;
use crate::era::Era;
use crate::launch::{Template, TemplateError};

/// The longest wait a profile may ask for: beyond that a run hangs rather than waits.
pub const MAX_WAIT_MS: u64 = 600_000;
/// The largest profile read: a thousand times what one needs.
const MAX_PROFILE_BYTES: u64 = 1024 * 1024;

const REDIS: &str = include_str!("../profiles/redis.toml");
const VALKEY: &str = include_str!("../profiles/valkey.toml");

/// The profiles that ship with the harness. Versions that behave alike share one.
const BUILT_IN: [(&str, &str); 11] = [
    ("psync", include_str!("../profiles/psync.toml")),
    ("redis", REDIS),
    ("redis-2.8", include_str!("../profiles/redis-2.8.toml")),
    ("redis-3.2", include_str!("../profiles/redis-3.2.toml")),
    ("redis-5.0", include_str!("../profiles/redis-5.0.toml")),
    ("redis-6.2", include_str!("../profiles/redis-6.2.toml")),
    ("redis-7.0", REDIS),
    ("redis-8.0", REDIS),
    ("valkey", VALKEY),
    ("valkey-8.0", VALKEY),
    ("valkey-8.1", VALKEY),
];

/// A profile that cannot be used.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// Neither a name nor a file.
    #[error("{subject} is no profile that ships ({}) and no file ending in .toml", names().join(", "))]
    Unknown {
        /// What was asked for.
        subject: String,
    },
    /// The file cannot be read.
    #[error("could not read the profile {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is far too large.
    #[error("the profile {} has {bytes} bytes; a profile has at most {MAX_PROFILE_BYTES}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The text is no profile; the message names line and column.
    #[error("the profile {origin} cannot be used: {source}")]
    Syntax {
        /// Where the text came from.
        origin: String,
        /// What is wrong with it, and where.
        source: Box<toml::de::Error>,
    },
    /// Neither or both of `command` and `connect`.
    #[error("the profile {origin} must have exactly one of command and connect")]
    StartOrConnect {
        /// Where the text came from.
        origin: String,
    },
    /// The words of `--command` cannot be used.
    #[error("the command {line:?} cannot be used: {source}")]
    Command {
        /// As written.
        line: String,
        /// What is wrong with it.
        source: TemplateError,
    },
    /// Something that is given at the start, on a server that runs already.
    #[error(
        "the profile {origin} has {what}, which needs a server that the harness starts (command, not connect)"
    )]
    NeedsCommand {
        /// Where the text came from.
        origin: String,
        /// The entry of the profile.
        what: &'static str,
    },
    /// A control that needs a process of our own, on a server that runs already.
    #[error(
        "the profile {origin} offers {control:?}, which needs a server that the harness starts (command, not connect)"
    )]
    ControlNeedsProcess {
        /// Where the text came from.
        origin: String,
        /// The control.
        control: ControlName,
    },
}

/// Something the harness may do with a subject; a case that needs one the subject lacks is skipped with that reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlName {
    /// It takes directives at its start as `--name value`; without it, they are set while it runs.
    Directives,
    /// `CONFIG SET` works while it runs.
    ConfigSet,
    /// `repl-backlog-size` sets the size of the backlog.
    BacklogSize,
    /// `SAVE` writes its snapshot file.
    Save,
    /// `repl-diskless-sync` chooses the framing.
    DisklessSync,
    /// `repl-diskless-sync-delay` holds a snapshot back before it starts.
    DisklessDelay,
    /// `rdb-key-save-delay` holds a snapshot open while it is made.
    KeySaveDelay,
    /// A process of its own writes each snapshot, one at a time, `BGSAVE` for nobody as well, and may be stopped (on
    /// Linux): then it holds its snapshot open, and the next one back.
    StopSnapshot,
    /// `repl-backlog-ttl` lets the backlog expire.
    BacklogTtl,
    /// It can be stopped and started again in the same folder.
    Restart,
    /// It can be killed without warning.
    Kill,
    /// INFO shows the section `replication`.
    Info,
    /// `WAIT` counts acknowledgements.
    Wait,
}

impl fmt::Display for ControlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As it is written in a profile.
        self.serialize(f)
    }
}

impl ControlName {
    /// Whether only a process of the harness's own can offer it.
    fn needs_process(self) -> bool {
        matches!(
            self,
            Self::Directives | Self::StopSnapshot | Self::Restart | Self::Kill
        )
    }
}

/// How long the harness waits for a subject, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Waits {
    /// From its start to its first `+PONG`.
    pub start_ms: Millis,
    /// For the reply to one command.
    pub reply_ms: Millis,
    /// For an observation it must make sooner or later.
    pub observe_ms: Millis,
    /// How long nothing may come before the harness calls it quiet.
    pub settle_ms: Millis,
    /// From SIGTERM to its end.
    pub stop_ms: Millis,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            start_ms: Millis(30_000),
            reply_ms: Millis(15_000),
            observe_ms: Millis(10_000),
            settle_ms: Millis(50),
            stop_ms: Millis(10_000),
        }
    }
}

/// A wait between 1 and [`MAX_WAIT_MS`] milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "u64")]
pub struct Millis(u64);

impl Millis {
    /// A wait of so many milliseconds, between 1 and [`MAX_WAIT_MS`].
    pub(crate) const fn of_ms(ms: u64) -> Self {
        assert!(ms >= 1 && ms <= MAX_WAIT_MS);
        Self(ms)
    }

    /// The wait as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// A wait that is none, or has no end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a wait must be between 1 and {MAX_WAIT_MS} milliseconds, and {came} came")]
pub struct MillisError {
    came: u64,
}

impl TryFrom<u64> for Millis {
    type Error = MillisError;

    fn try_from(came: u64) -> Result<Self, MillisError> {
        if (1..=MAX_WAIT_MS).contains(&came) {
            Ok(Self(came))
        } else {
            Err(MillisError { came })
        }
    }
}

/// One field of one section of INFO.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InfoField {
    /// The section asked for.
    pub section: String,
    /// The field's name.
    pub field: String,
}

/// How the harness comes to the subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// It starts it.
    Start {
        /// The command.
        command: Template,
        /// What is added when it starts as a replica of the harness.
        replica_args: Option<Template>,
    },
    /// It runs already, at this `host:port`.
    Connect(String),
}

/// A subject.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name in reports.
    pub name: String,
    /// How the harness comes to it.
    pub access: Access,
    /// The era it claims to speak.
    pub era: Era,
    /// How it sends a snapshot unless it is told otherwise.
    pub snapshot: Framing,
    /// How long to wait for it.
    pub waits: Waits,
    /// What the harness may do with it.
    pub controls: BTreeSet<ControlName>,
    /// Directives given at its start as `--name value`, by name.
    pub config: BTreeMap<String, String>,
    /// Checks it is known to fail.
    pub deviations: Vec<Deviation>,
    /// A number in INFO that is 0 until it is ready, besides answering PING.
    pub ready: Option<InfoField>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileText {
    name: String,
    command: Option<Template>,
    connect: Option<String>,
    replica_args: Option<Template>,
    era: Era,
    #[serde(default = "usual_snapshot")]
    snapshot: Framing,
    #[serde(default)]
    waits: Waits,
    #[serde(default)]
    controls: BTreeSet<ControlName>,
    #[serde(default)]
    config: BTreeMap<String, String>,
    #[serde(default)]
    deviations: Vec<Deviation>,
    ready: Option<InfoField>,
}

/// Every server can send a snapshot through a file.
const fn usual_snapshot() -> Framing {
    Framing::Disk
}

/// The names of the profiles that ship.
pub fn names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

impl Profile {
    /// The profile of this name, or the one in this file when the name ends in `.toml`.
    pub fn load(subject: &str) -> Result<Self, ProfileError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == subject) {
            let mut profile = Self::parse(text, name)?;
            (*name).clone_into(&mut profile.name);
            return Ok(profile);
        }
        let path = Path::new(subject);
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            return Self::parse(&read_file(path)?, subject);
        }
        Err(ProfileError::Unknown {
            subject: subject.to_owned(),
        })
    }

    /// Reads a profile from its text; `origin` names it in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ProfileError> {
        let syntax = |source| ProfileError::Syntax {
            origin: origin.to_owned(),
            source: Box::new(source),
        };
        let text: ProfileText = toml::from_str(text).map_err(syntax)?;
        let access = match (&text.command, &text.connect) {
            (Some(command), None) => Access::Start {
                command: command.clone(),
                replica_args: text.replica_args.clone(),
            },
            (None, Some(address)) => Access::Connect(address.clone()),
            _ => {
                return Err(ProfileError::StartOrConnect {
                    origin: origin.to_owned(),
                });
            }
        };
        if matches!(access, Access::Connect(_)) {
            refuse_start_entries(&text, origin)?;
        }
        Ok(Self {
            name: text.name,
            access,
            era: text.era,
            snapshot: text.snapshot,
            waits: text.waits,
            controls: text.controls,
            config: text.config,
            deviations: text.deviations,
            ready: text.ready,
        })
    }

    /// A server that is known by its command only. What it claims and offers is still to be found out.
    pub fn of_command(line: &str) -> Result<Self, ProfileError> {
        let wrong = |source| ProfileError::Command {
            line: line.to_owned(),
            source,
        };
        let (command, replica_args) = Template::of_line_with_option(line).map_err(wrong)?;
        let name = command.program_name();
        let controls = BTreeSet::from([ControlName::Restart, ControlName::Kill]);
        Ok(Self::of_access(
            name,
            Access::Start {
                command,
                replica_args,
            },
            controls,
        ))
    }

    /// A server that runs already at this `host:port`. What it claims and offers is still to be found out.
    pub fn of_address(address: &str) -> Self {
        let access = Access::Connect(address.to_owned());
        Self::of_access(address.to_owned(), access, BTreeSet::new())
    }

    fn of_access(name: String, access: Access, controls: BTreeSet<ControlName>) -> Self {
        Self {
            name,
            access,
            era: Era::Psync2V7,
            snapshot: usual_snapshot(),
            waits: Waits::default(),
            controls,
            config: BTreeMap::new(),
            deviations: Vec::new(),
            ready: None,
        }
    }

    /// Starts another program in place of the profile's own, with the same words after it. Answers whether the
    /// profile starts any.
    pub fn replace_program(&mut self, program: &Path) -> bool {
        match &mut self.access {
            Access::Start { command, .. } => {
                command.replace_program(program);
                true
            }
            Access::Connect(_) => false,
        }
    }

    /// Whether it can be started as a replica of the harness.
    pub fn can_follow(&self) -> bool {
        matches!(
            &self.access,
            Access::Start {
                replica_args: Some(_),
                ..
            }
        )
    }

    /// Whether the harness may do this with it.
    pub fn offers(&self, control: ControlName) -> bool {
        self.controls.contains(&control)
    }

    /// Whether one subject alone can be led through what needs this control: by the control itself, or by stopping the
    /// processes that write its snapshots.
    pub fn can_do(&self, control: ControlName) -> bool {
        let holds = matches!(
            control,
            ControlName::DisklessDelay | ControlName::KeySaveDelay
        );
        self.offers(control) || holds && self.offers(ControlName::StopSnapshot)
    }
}

/// Refuses what only a start could carry out, so that nothing in a profile is silently without effect.
fn refuse_start_entries(text: &ProfileText, origin: &str) -> Result<(), ProfileError> {
    let origin = origin.to_owned();
    if let Some(&control) = text.controls.iter().find(|control| control.needs_process()) {
        return Err(ProfileError::ControlNeedsProcess { origin, control });
    }
    if text.replica_args.is_some() {
        return Err(ProfileError::NeedsCommand {
            origin,
            what: "replica_args",
        });
    }
    if !text.config.is_empty() {
        return Err(ProfileError::NeedsCommand {
            origin,
            what: "config",
        });
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String, ProfileError> {
    let failed = |source| ProfileError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > MAX_PROFILE_BYTES {
        return Err(ProfileError::TooLarge {
            path: path.to_owned(),
            bytes,
        });
    }
    fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const LEAST: &str = "name = \"mine\"\nera = \"psync\"\ncommand = \"server --port {port}\"\n";

    #[test]
    fn profiles_that_ship_are_usable_and_carry_their_names() {
        for name in names() {
            let profile = Profile::load(name).unwrap();
            assert_eq!(profile.name, name);
            assert!(profile.offers(ControlName::Restart));
        }
    }

    #[test]
    fn three_lines_are_a_profile() {
        let profile = Profile::parse(LEAST, "mine.toml").unwrap();
        assert_eq!((profile.era, profile.waits), (Era::Psync, Waits::default()));
        assert!(profile.controls.is_empty());
    }

    /// The text is compared here because the place of the mistake is nowhere else.
    #[test]
    fn mistakes_are_named_with_their_line() {
        let command = "command = \"server --port {port}\"";
        let mistakes = [
            format!("{command}\ncolour = 1"),
            format!("{command}\ncontrols = [\"fly\"]"),
            format!("{command}\nwaits = {{ start_ms = 0 }}"),
            format!("{command}\nera = \"psync3\""),
            "command = 'server \"x'".to_owned(),
            "command = 'server {host}'".to_owned(),
        ];
        let shown: Vec<String> = mistakes
            .iter()
            .map(|mistake| first_lines(&format!("name = \"mine\"\nera = \"psync\"\n{mistake}\n")))
            .collect();
        expect![[r#"
            the profile mine.toml cannot be used: TOML parse error at line 4, column 1 unknown field `colour`, expected one of `name`, `command`, `connect`, `replica_args`, `era`, `snapshot`, `waits`, `controls`, `config`, `deviations`, `ready`
            the profile mine.toml cannot be used: TOML parse error at line 4, column 13 unknown variant `fly`, expected one of `directives`, `config-set`, `backlog-size`, `save`, `diskless-sync`, `diskless-delay`, `key-save-delay`, `stop-snapshot`, `backlog-ttl`, `restart`, `kill`, `info`, `wait`
            the profile mine.toml cannot be used: TOML parse error at line 4, column 22 a wait must be between 1 and 600000 milliseconds, and 0 came
            the profile mine.toml cannot be used: TOML parse error at line 4, column 1 duplicate key
            the profile mine.toml cannot be used: TOML parse error at line 3, column 11 a quotation mark is not closed in: server "x
            the profile mine.toml cannot be used: TOML parse error at line 3, column 11 {host} is no placeholder; these are: {self} {port} {dir} {era} {primary_host} {primary_port}"#]].assert_eq(&shown.join("\n"));
    }

    /// The sentence and the place, without the quoted source.
    fn first_lines(text: &str) -> String {
        let message = Profile::parse(text, "mine.toml").unwrap_err().to_string();
        message
            .lines()
            .filter(|line| !line.contains('|'))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn start_and_connect_exclude_each_other() {
        let both = format!("{LEAST}connect = \"127.0.0.1:1\"\n");
        assert!(matches!(
            Profile::parse(&both, "x"),
            Err(ProfileError::StartOrConnect { .. })
        ));
        let running = "name = \"r\"\nera = \"psync2\"\nconnect = \"127.0.0.1:1\"\ncontrols = [\"info\", \"kill\"]\n";
        assert!(matches!(
            Profile::parse(running, "x"),
            Err(ProfileError::ControlNeedsProcess {
                control: ControlName::Kill,
                ..
            })
        ));
    }

    #[test]
    fn unknown_names_and_missing_files_are_told_apart() {
        assert!(matches!(
            Profile::load("memcached"),
            Err(ProfileError::Unknown { .. })
        ));
        assert!(matches!(
            Profile::load("/nowhere/at/all.toml"),
            Err(ProfileError::Read { .. })
        ));
    }
}
