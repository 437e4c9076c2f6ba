//! A server process: started on a free port with a folder of its own, asked over one connection, gone when dropped.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::arguments::Program;
use crate::processes::{self, Running};
use crate::ticks::processor_seconds;

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(3);

/// Time between two looks where the length of the wait is measured.
const LOOK: Duration = Duration::from_millis(1);

/// How often another port is tried when somebody else took the one we found.
const PORT_ATTEMPTS: usize = 5;

/// Settings that make servers alike: nothing is saved or compressed unasked, no replica is cut off for being slow, and
/// no snapshot waits for more replicas.
const ALIKE: &[&str] = &[
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "no",
    "--rdbcompression",
    "no",
    "--repl-diskless-sync-delay",
    "0",
    "--client-output-buffer-limit",
    "replica",
    "0",
    "0",
    "0",
];

/// A running server.
pub(crate) struct Node {
    running: Running,
    connection: redis::Connection,
    port: u16,
    folder: TempDir,
    program: Program,
}

impl Node {
    /// Starts a server with further settings, and waits until it answers.
    pub(crate) fn start(program: &Program, settings: &[&str]) -> Result<Self> {
        let folder = processes::subfolder()?;
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            let mut running = launch(program, port, &folder, settings)?;
            if let Some(connection) = reach(&mut running, port)? {
                return Ok(Self {
                    running,
                    connection,
                    port,
                    folder,
                    program: program.clone(),
                });
            }
        }
        bail!(
            "{} did not become ready on any of {PORT_ATTEMPTS} ports",
            program.name
        )
    }

    /// Kills the server and starts it again in the same folder; how long until it holds so many keys.
    pub(crate) fn restart(&mut self, keys: u64) -> Result<Duration> {
        self.running.child().kill().context("kill")?;
        self.running.child().wait().context("wait")?;
        let started = Instant::now();
        self.running = launch(&self.program, self.port, &self.folder, &[])?;
        self.connection = reach(&mut self.running, self.port)?.context("the server ended")?;
        wait_for("the keys to be loaded", || {
            // While it loads it refuses to tell.
            Ok(self.ask::<u64>(&["DBSIZE"]).is_ok_and(|size| size == keys))
        })?;
        Ok(started.elapsed())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// One more connection.
    pub(crate) fn connect(&self) -> Result<redis::Connection> {
        connect(self.port).context("another connection")
    }

    /// One command and its reply.
    pub(crate) fn ask<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> Result<T> {
        ask(&mut self.connection, words)
    }

    /// Changes a setting.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        self.ask(&["CONFIG", "SET", name, value])
    }

    /// A field of `INFO`; zero where the server has none.
    pub(crate) fn info(&mut self, section: &str, field: &str) -> Result<u64> {
        let text = self.info_text(section, field)?;
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    fn info_text(&mut self, section: &str, field: &str) -> Result<Option<String>> {
        let text: String = self.ask(&["INFO", section])?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.map(|value| value.trim().to_owned()))
    }

    /// Makes it a replica; how long until it has the data and the link.
    pub(crate) fn follow(&mut self, primary: &Self) -> Result<Duration> {
        let started = Instant::now();
        self.ask::<()>(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()])?;
        wait_for("the link to be up", || {
            Ok(self
                .info_text("replication", "master_link_status")
                // A server that loads in one go answers late, or not at all for a while.
                .is_ok_and(|status| status.as_deref() == Some("up")))
        })?;
        Ok(started.elapsed())
    }

    /// Waits until a replica has executed all that its primary wrote.
    pub(crate) fn catch_up(&mut self, primary: &mut Self) -> Result<()> {
        let offset = primary.info("replication", "master_repl_offset")?;
        self.reach_offset(offset)
    }

    /// Waits until a replica has executed the stream up to an offset.
    pub(crate) fn reach_offset(&mut self, offset: u64) -> Result<()> {
        wait_for("the replica to catch up", || {
            Ok(self.info("replication", "slave_repl_offset")? >= offset)
        })
    }

    /// Memory in use, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most memory that was in use since [`Self::forget_peak`], in bytes.
    pub(crate) fn peak(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.running.id());
        std::fs::write(path, "5").context("the peak of memory cannot be reset")
    }

    fn status(&self, field: &str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.running.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
        let kilobytes = kilobytes.and_then(|number| number.trim().parse::<u64>().ok());
        Ok(kilobytes.with_context(|| format!("no {field} of {}", self.program.name))? * 1024)
    }

    /// Processor seconds so far, all threads together.
    pub(crate) fn processor_seconds(&self) -> Result<f64> {
        let [own, _] = processor_seconds(&self.running.id().to_string())?;
        Ok(own)
    }

    pub(crate) fn stop(&self) {
        self.running.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.running.signal(Signal::CONT);
    }
}

/// One command and its reply.
pub(crate) fn ask<T: redis::FromRedisValue>(
    connection: &mut redis::Connection,
    words: &[&str],
) -> Result<T> {
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    command
        .query(connection)
        .with_context(|| format!("{words:?}"))
}

/// Looks until something is so, often and not for ever.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !holds()? {
        if started.elapsed() > PATIENCE {
            bail!("waited in vain for {what}");
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("a free port")?;
    Ok(listener.local_addr()?.port())
}

fn launch(program: &Program, port: u16, folder: &TempDir, settings: &[&str]) -> Result<Running> {
    let mut command = Command::new(&program.path);
    command
        .args(["--port", &port.to_string()])
        .args(["--dir", &folder.path().to_string_lossy()])
        .args(ALIKE)
        .args(settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Running::start(&mut command)
}

/// A connection once the server answers, be it that it still loads; nothing if it ended, as it does when the port is
/// not free.
fn reach(running: &mut Running, port: u16) -> Result<Option<redis::Connection>> {
    let mut reached = None;
    wait_for("the server to answer", || {
        if running.has_ended() {
            return Ok(true);
        }
        reached = connect(port).ok();
        Ok(reached.is_some())
    })?;
    Ok(reached)
}

fn connect(port: u16) -> redis::RedisResult<redis::Connection> {
    let connection =
        redis::Client::open(("127.0.0.1", port))?.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}
