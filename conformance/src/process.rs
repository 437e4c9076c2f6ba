//! A subject as a child process in a temporary folder on a free port of the loopback.
//!
//! Nothing here hangs: every wait has a limit, and a child that ends early is reported at once with what it printed.
//! The child is killed and its folder removed when the value is dropped, on a panic too. Should the harness itself be
//! killed, the child sees the end of its standard input: our embedded server then stops by itself; a foreign server
//! that ignores its input stays behind, since tying it to its parent's death would take unsafe code.
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketType};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use thiserror::Error;

use crate::conn::Deadline;
use crate::control::{Control, ControlError};
use crate::guard::{self, Permission, Refusal};
use crate::launch::Values;
use crate::profile::{Access, InfoField, Profile};
use crate::reply::Reply;
use crate::transcript::{CaseClock, Transcript};

/// The pause between two attempts to reach a starting subject, or to see an ending one gone.
const POLL_PAUSE: Duration = Duration::from_millis(2);
/// How long one connection attempt of the start may take: a subject that does not answer is asked again.
const PING_LIMIT: Duration = Duration::from_millis(250);
/// How many of the last lines of a subject's output a report shows.
const TAIL_LINES: usize = 12;
/// How much of the end of the output is searched for those lines.
const TAIL_BYTES: usize = 16 * 1024;

/// A subject that could not be started, stopped or reached.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// The profile names a running server.
    #[error("the subject {name} runs already; the harness cannot start or restart it")]
    NotOurs {
        /// The subject.
        name: String,
    },
    /// The address of the profile leads nowhere.
    #[error(transparent)]
    Address(#[from] Refusal),
    /// The profile does not say how to start it as a replica.
    #[error("the profile of {name} has no replica_args; it cannot be started as a replica")]
    NoReplicaArgs {
        /// The subject.
        name: String,
    },
    /// The folder or the output file cannot be made.
    #[error("could not prepare the folder of {name}: {source}")]
    Folder {
        /// The subject.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// No port of the loopback is free.
    #[error("could not find a free port on 127.0.0.1: {source}")]
    Port {
        /// Why not.
        source: io::Error,
    },
    /// The program cannot be run.
    #[error("could not run {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It ended before it answered.
    #[error("{name} ended with {status} before it answered PING; it last printed:\n{output}")]
    EndedEarly {
        /// The subject.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        output: String,
    },
    /// It runs and does not answer PING with PONG, or its profile's `ready` field stays 0.
    #[error(
        "{name} was not ready on {addr} within {limit_ms} ms (last: {last}); it last printed:\n{output}"
    )]
    NoAnswer {
        /// The subject.
        name: String,
        /// Where.
        addr: SocketAddr,
        /// How long, in milliseconds.
        limit_ms: u64,
        /// The last reply or failure.
        last: String,
        /// Its last lines.
        output: String,
    },
    /// It did not end in time.
    #[error("{name} did not end within {limit_ms} ms of SIGTERM")]
    DidNotEnd {
        /// The subject.
        name: String,
        /// How long, in milliseconds.
        limit_ms: u64,
    },
    /// The operating system refused a signal or a wait.
    #[error("could not {doing} {name}: {source}")]
    Signal {
        /// What was attempted.
        doing: &'static str,
        /// The subject.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

/// What may differ from one start to the next.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// The program that `{self}` stands for; the running one unless told.
    pub program: Option<PathBuf>,
    /// The primary to follow from the start.
    pub primary: Option<SocketAddr>,
    /// Words added at the end of the command.
    pub extra_args: Vec<String>,
}

/// A running (or killed) subject.
#[derive(Debug)]
pub struct Subject {
    profile: Profile,
    addr: SocketAddr,
    /// Nothing for a server that ran before the harness came.
    own: Option<Own>,
}

/// What belongs to a subject that the harness has started.
#[derive(Debug)]
struct Own {
    folder: TempDir,
    _port: ReservedPort,
    child: Child,
    /// Whether the harness has killed it and not started it again.
    killed: bool,
}

impl Subject {
    /// Starts it on a free port and waits until it answers PING.
    pub fn start(profile: &Profile, options: &StartOptions) -> Result<Self, ProcessError> {
        let (folder, port) = (new_folder(profile)?, ReservedPort::new()?);
        let child = start_on(profile, folder.path(), port.port, options)?;
        Ok(Self {
            profile: profile.clone(),
            addr: loopback(port.port),
            own: Some(Own {
                folder,
                _port: port,
                child,
                killed: false,
            }),
        })
    }

    /// As the profile says: started, or found running.
    pub fn of(profile: &Profile) -> Result<Self, ProcessError> {
        match &profile.access {
            Access::Start { .. } => Self::start(profile, &StartOptions::default()),
            Access::Connect(address) => {
                // Whoever let it in has asked the guard before.
                let addr = guard::resolve(address, Permission::EVERYTHING)?;
                Ok(Self::running(profile, addr))
            }
        }
    }

    /// A server that runs already: nothing is started, and nothing will be ended.
    pub fn running(profile: &Profile, addr: SocketAddr) -> Self {
        Self {
            profile: profile.clone(),
            addr,
            own: None,
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process, if it is ours.
    pub fn process_id(&self) -> Option<u32> {
        self.own.as_ref().map(|own| own.child.id())
    }

    /// The folder it works in.
    pub fn data_folder(&self) -> Result<PathBuf, ProcessError> {
        let own = self.own.as_ref().ok_or_else(|| self.not_ours())?;
        Ok(data_folder(own.folder.path()))
    }

    fn not_ours(&self) -> ProcessError {
        ProcessError::NotOurs {
            name: self.profile.name.clone(),
        }
    }

    fn child(&mut self) -> Result<&mut Child, ProcessError> {
        let not_ours = self.not_ours();
        let own = self.own.as_mut().ok_or(not_ours)?;
        Ok(&mut own.child)
    }

    /// A fresh control connection.
    pub fn control(&self, transcript: Transcript) -> Result<Control, ControlError> {
        Control::connect(
            self.addr(),
            self.profile.waits.reply_ms.duration(),
            transcript,
        )
    }

    /// The last lines it printed, for reports.
    pub fn output_tail(&self) -> String {
        self.own.as_ref().map_or_else(
            || "(it was not started by the judge)".to_owned(),
            |own| output_tail(own.folder.path()),
        )
    }

    /// How it ended, if it is ours and has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        let Some(own) = &mut self.own else {
            return Ok(None);
        };
        own.child
            .try_wait()
            .map_err(|source| signal_error("look after", &self.profile, source))
    }

    /// How it ended, if it is ours and has, and not because the harness has killed it.
    pub fn ended_by_itself(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        if self.own.as_ref().is_some_and(|own| own.killed) {
            return Ok(None);
        }
        self.ended()
    }

    /// Kills it without warning and waits for its end. A dead subject stays dead.
    pub fn kill(&mut self) -> Result<(), ProcessError> {
        let child = self.child()?;
        let killed = child.kill().and_then(|()| child.wait());
        killed.map_err(|source| signal_error("kill", &self.profile, source))?;
        if let Some(own) = &mut self.own {
            own.killed = true;
        }
        Ok(())
    }

    /// Asks it to end and waits for that, at most as long as its profile says.
    pub fn terminate(&mut self) -> Result<ExitStatus, ProcessError> {
        self.signal("terminate", Signal::TERM)?;
        let deadline = Deadline::after(self.profile.waits.stop_ms.duration());
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if deadline.remaining().is_none() {
                return Err(ProcessError::DidNotEnd {
                    name: self.profile.name.clone(),
                    limit_ms: deadline.limit_ms(),
                });
            }
            thread::sleep(POLL_PAUSE);
        }
    }

    /// Stops its clock: it neither reads nor writes until it is resumed, and its connections stay open.
    pub fn pause(&self) -> Result<(), ProcessError> {
        self.signal("pause", Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<(), ProcessError> {
        self.signal("resume", Signal::CONT)
    }

    /// Starts it again in the same folder on the same port, after killing it if it still runs.
    pub fn restart(&mut self, options: &StartOptions) -> Result<(), ProcessError> {
        if self.ended()?.is_none() {
            self.kill()?;
        }
        let port = self.addr.port();
        let Some(own) = &mut self.own else {
            return Err(self.not_ours());
        };
        own.child = start_on(&self.profile, own.folder.path(), port, options)?;
        own.killed = false;
        Ok(())
    }

    fn signal(&self, doing: &'static str, signal: Signal) -> Result<(), ProcessError> {
        let own = self.own.as_ref().ok_or_else(|| self.not_ours())?;
        let pid = Pid::from_child(&own.child);
        kill_process(pid, signal).map_err(|error| signal_error(doing, &self.profile, error.into()))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(own) = &mut self.own {
            // A child that has ended already needs neither; nobody is left to be told.
            let _ = own.child.kill();
            let _ = own.child.wait();
        }
    }
}

fn signal_error(doing: &'static str, profile: &Profile, source: io::Error) -> ProcessError {
    ProcessError::Signal {
        doing,
        name: profile.name.clone(),
        source,
    }
}

/// One start on one port: run, then ask until it answers or ends.
fn start_on(
    profile: &Profile,
    folder: &Path,
    port: u16,
    options: &StartOptions,
) -> Result<Child, ProcessError> {
    let words = words(profile, folder, port, options)?;
    let mut child = spawn(profile, folder, &words)?;
    match await_pong(profile, folder, port, &mut child) {
        Ok(()) => Ok(child),
        Err(error) => {
            // The error that matters is the one being returned.
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

/// The whole command: the template, the directives of the profile, what makes it a replica, and the extra words.
fn words(
    profile: &Profile,
    folder: &Path,
    port: u16,
    options: &StartOptions,
) -> Result<Vec<String>, ProcessError> {
    let Access::Start {
        command,
        replica_args,
    } = &profile.access
    else {
        return Err(ProcessError::NotOurs {
            name: profile.name.clone(),
        });
    };
    let values = Values {
        program: program(profile, options)?,
        port,
        dir: data_folder(folder),
        era: profile.era.name(),
        primary: options
            .primary
            .map(|addr| (addr.ip().to_string(), addr.port())),
    };
    let mut words = command.expand(&values);
    words.extend(
        profile
            .config
            .iter()
            .flat_map(|(name, value)| [format!("--{name}"), value.clone()]),
    );
    if options.primary.is_some() {
        let args = replica_args
            .as_ref()
            .ok_or_else(|| ProcessError::NoReplicaArgs {
                name: profile.name.clone(),
            })?;
        words.extend(args.expand(&values));
    }
    words.extend(options.extra_args.iter().cloned());
    Ok(words)
}

fn program(profile: &Profile, options: &StartOptions) -> Result<PathBuf, ProcessError> {
    match &options.program {
        Some(path) => Ok(path.clone()),
        None => std::env::current_exe().map_err(|source| ProcessError::Folder {
            name: profile.name.clone(),
            source,
        }),
    }
}

fn spawn(profile: &Profile, folder: &Path, words: &[String]) -> Result<Child, ProcessError> {
    let failed = |source| ProcessError::Folder {
        name: profile.name.clone(),
        source,
    };
    let output = File::options()
        .create(true)
        .append(true)
        .open(output_file(folder))
        .map_err(failed)?;
    let errors = output.try_clone().map_err(failed)?;
    let (program, args) = words
        .split_first()
        .expect("a template has at least one word");
    // The pipe stays open as long as the child is ours; its end tells an attentive child that we are gone.
    Command::new(program)
        .args(args)
        .current_dir(data_folder(folder))
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|source| ProcessError::Spawn {
            program: program.clone(),
            source,
        })
}

fn await_pong(
    profile: &Profile,
    folder: &Path,
    port: u16,
    child: &mut Child,
) -> Result<(), ProcessError> {
    let deadline = Deadline::after(profile.waits.start_ms.duration());
    let mut last;
    loop {
        last = readiness(profile, loopback(port));
        // Looked at after the answer: if the child is gone, somebody else answered.
        if let Some(status) = child
            .try_wait()
            .map_err(|source| signal_error("look after", profile, source))?
        {
            return Err(ProcessError::EndedEarly {
                name: profile.name.clone(),
                status,
                output: output_tail(folder),
            });
        }
        match last {
            Ok(None) => return Ok(()),
            _ if deadline.remaining().is_some() => thread::sleep(POLL_PAUSE),
            _ => break,
        }
    }
    let last = last.map_or_else(|error| error.to_string(), Option::unwrap_or_default);
    let (name, output) = (profile.name.clone(), output_tail(folder));
    Err(ProcessError::NoAnswer {
        name,
        addr: loopback(port),
        limit_ms: deadline.limit_ms(),
        last,
        output,
    })
}

/// Nothing when the subject is ready, or what it says instead.
fn readiness(profile: &Profile, addr: SocketAddr) -> Result<Option<String>, ControlError> {
    let transcript = Transcript::new("start", CaseClock::start());
    let mut control = Control::connect(addr, PING_LIMIT, transcript)?;
    match control.command(&["PING"])? {
        Reply::Status(text) if text == "PONG" => {}
        other => return Ok(Some(other.to_string())),
    }
    let Some(InfoField { section, field }) = &profile.ready else {
        return Ok(None);
    };
    let info = control.info(section)?;
    let value = info.get(field).unwrap_or("missing");
    let is_ready = value.parse().is_ok_and(|number: i64| number != 0);
    Ok((!is_ready).then(|| format!("INFO {field} is {value}")))
}

fn new_folder(profile: &Profile) -> Result<TempDir, ProcessError> {
    let failed = |source| ProcessError::Folder {
        name: profile.name.clone(),
        source,
    };
    let folder = tempfile::Builder::new()
        .prefix("psync-subject-")
        .tempdir()
        .map_err(failed)?;
    fs::create_dir(data_folder(folder.path())).map_err(failed)?;
    Ok(folder)
}

fn data_folder(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn output_file(folder: &Path) -> PathBuf {
    folder.join("output.log")
}

fn output_tail(folder: &Path) -> String {
    let Ok(bytes) = fs::read(output_file(folder)) else {
        return "(nothing)".to_owned();
    };
    let text =
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        "(nothing)".to_owned()
    } else {
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port of the loopback that stays ours for as long as this lives: it is bound, and nobody listens on it. A
/// server that sets `SO_REUSEADDR`, as all do, can still listen there; nobody else is given the number, not even
/// while the server is down between two lives.
#[derive(Debug)]
struct ReservedPort {
    port: u16,
    _socket: OwnedFd,
}

impl ReservedPort {
    fn new() -> Result<Self, ProcessError> {
        let failed = |error: rustix::io::Errno| ProcessError::Port {
            source: error.into(),
        };
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).map_err(failed)?;
        net::sockopt::set_socket_reuseaddr(&socket, true).map_err(failed)?;
        net::bind(&socket, &loopback(0)).map_err(failed)?;
        let bound = net::getsockname(&socket).map_err(failed)?;
        let addr = SocketAddr::try_from(bound).map_err(failed)?;
        Ok(Self {
            port: addr.port(),
            _socket: socket,
        })
    }
}
