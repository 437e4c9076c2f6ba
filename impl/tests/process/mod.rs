//! Server processes under test: started on free ports, awaited by what they say, killed when dropped.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest wait for anything; real servers reconnect within a second, a loaded machine takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks while something is awaited.
const LOOK: Duration = Duration::from_millis(5);

/// How often another port is tried when somebody else took the one we found.
const PORT_ATTEMPTS: usize = 5;

/// A running server with a folder of its own.
pub(crate) struct Process {
    child: Child,
    port: u16,
    /// What starts it, and its own options follow: the program, perhaps after another one that prepares its world.
    program: Vec<String>,
    folder: TempDir,
}

/// Whether the tests with redis-server must be skipped; says so, and refuses to on a build machine.
pub(crate) fn redis_server_missing() -> bool {
    let found = Command::new("redis-server")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "redis-server must be installed where CI is set"
    );
    if !found {
        eprintln!("skipped: redis-server is not on the PATH");
    }
    !found
}

impl Process {
    /// Our server.
    pub(crate) fn ours(options: &[&str]) -> Self {
        Self::start(env!("CARGO_BIN_EXE_psync-server"), options)
    }

    /// A real redis-server.
    pub(crate) fn redis(options: &[&str]) -> Self {
        Self::start("redis-server", options)
    }

    /// Our server, started by another program that is given the command line behind its own words.
    pub(crate) fn ours_by(words: &[&str], options: &[&str]) -> Self {
        Self::start_by(
            &[words, &[env!("CARGO_BIN_EXE_psync-server")]].concat(),
            options,
        )
    }

    /// Any server that takes the options of Redis.
    pub(crate) fn start(program: &str, options: &[&str]) -> Self {
        Self::start_by(&[program], options)
    }

    fn start_by(program: &[&str], options: &[&str]) -> Self {
        let program: Vec<String> = program.iter().map(|&word| word.to_owned()).collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port();
            if let Some(child) = launch(&program, port, &folder, options) {
                return Self {
                    child,
                    port,
                    program,
                    folder,
                };
            }
        }
        panic!("{program:?} did not become ready on any of {PORT_ATTEMPTS} ports");
    }

    /// Starts the killed server again, in the same folder and on the same port.
    pub(crate) fn restart(&mut self, options: &[&str]) {
        self.child = launch(&self.program, self.port, &self.folder, options)
            .expect("the server starts again");
    }

    /// Starts the killed server again, as [`Self::restart`], and kills it after a while, ready or not.
    pub(crate) fn start_and_kill(&mut self, options: &[&str], after: Duration) {
        let mut command = command(&self.program, self.port, &self.folder, options);
        self.child = command
            .stdout(Stdio::null())
            .spawn()
            .expect("the program exists");
        std::thread::sleep(after);
        self.kill();
    }

    /// Ends the process as a power failure would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The names of its files, in order.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder()).expect("the folder can be read");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.expect("an entry").file_name();
            name.to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    /// From the next start on another program starts it.
    pub(crate) fn start_next_by(&mut self, words: &[&str]) {
        let program = self.program.pop().expect("the program itself comes last");
        self.program = words.iter().map(|&word| word.to_owned()).collect();
        self.program.push(program);
    }

    /// A connection for bytes of any kind.
    pub(crate) fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port));
        let stream = stream.unwrap_or_else(|error| panic!("port {}: {error}", self.port));
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time limit");
        stream
    }

    /// Sends one command on a connection of its own; the reply as text.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        self.try_command(words)
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same, where the server may not know the command.
    pub(crate) fn try_command(&self, words: &[&str]) -> redis::RedisResult<String> {
        Ok(text(&ask(&mut self.open()?, words)?))
    }

    /// A connection for several commands.
    pub(crate) fn connect(&self) -> Connection {
        let opened = self.open();
        Connection(
            opened.unwrap_or_else(|error| panic!("{:?} does not answer: {error}", self.program)),
        )
    }

    fn open(&self) -> redis::RedisResult<redis::Connection> {
        let client = redis::Client::open(("127.0.0.1", self.port))?;
        client.get_connection_with_timeout(PATIENCE)
    }

    /// A field of `INFO`.
    pub(crate) fn info(&self, field: &str) -> String {
        let text = self.command(&["INFO"]);
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value
            .unwrap_or_else(|| panic!("no field {field} in {text}"))
            .trim()
            .to_owned()
    }

    pub(crate) fn await_info(&self, field: &str, value: &str) {
        let what = || format!("{field}:{value}, it is {}", self.info(field));
        self.wait_until(what, || self.info(field) == value);
    }

    pub(crate) fn await_reply(&self, words: &[&str], reply: &str) {
        self.wait_until(
            || format!("{words:?} to answer {reply}"),
            || self.try_command(words).is_ok_and(|text| text == reply),
        );
    }

    /// Waits for a condition, looking often and not for ever.
    pub(crate) fn wait_until(&self, what: impl Fn() -> String, condition: impl Fn() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(
                started.elapsed() < PATIENCE,
                "{:?} on port {}: waited in vain for {}",
                self.program,
                self.port,
                what()
            );
            std::thread::sleep(LOOK);
        }
    }
}

/// A connection with a database of its own.
pub(crate) struct Connection(redis::Connection);

impl Connection {
    /// One command; its reply as text.
    pub(crate) fn query(&mut self, words: &[&str]) -> String {
        let reply = ask(&mut self.0, words);
        text(&reply.unwrap_or_else(|error| panic!("{words:?}: {error}")))
    }

    /// The same, where the server may be gone.
    pub(crate) fn try_query(&mut self, words: &[&str]) -> redis::RedisResult<String> {
        Ok(text(&ask(&mut self.0, words)?))
    }

    /// One command that answers with several texts.
    pub(crate) fn list(&mut self, words: &[&str]) -> Vec<String> {
        let reply = ask(&mut self.0, words);
        match reply.unwrap_or_else(|error| panic!("{words:?}: {error}")) {
            redis::Value::Array(values) => values.iter().map(text).collect(),
            other => panic!("{words:?}: {other:?}"),
        }
    }
}

fn ask(connection: &mut redis::Connection, words: &[&str]) -> redis::RedisResult<redis::Value> {
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    command.query(connection)
}

fn text(value: &redis::Value) -> String {
    match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::SimpleString(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// The version that a program tells of itself, such as `7.0.15`.
pub(crate) fn version(program: &str) -> String {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .expect("the program exists");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = told
        .split_whitespace()
        .find_map(|word| word.strip_prefix("v="));
    number
        .unwrap_or_else(|| panic!("{program} tells no version: {told}"))
        .to_owned()
}

/// Whether the first number of a version is at least `major`.
pub(crate) fn is_at_least(version: &str, major: u32) -> bool {
    version
        .split('.')
        .next()
        .and_then(|number| number.parse::<u32>().ok())
        >= Some(major)
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("the port found").port()
}

fn command(program: &[String], port: u16, folder: &TempDir, options: &[&str]) -> Command {
    let mut command = Command::new(&program[0]);
    command
        .args(&program[1..])
        .args(["--port", &port.to_string(), "--save", "", "--dir"])
        .arg(folder.path())
        .args(options);
    command
}

/// Starts a server and waits until it says that it is ready; `None` when it ends instead.
fn launch(program: &[String], port: u16, folder: &TempDir, options: &[&str]) -> Option<Child> {
    let mut child = command(program, port, folder, options)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program exists");
    let mut output = BufReader::new(child.stdout.take().expect("the output is a pipe"));
    let mut line = String::new();
    while output.read_line(&mut line).is_ok_and(|length| length > 0) {
        // Servers before 4.0 write it in small letters.
        if line.to_lowercase().contains("ready to accept connections") {
            // Whoever does not read the log of a server makes it wait.
            std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
            return Some(child);
        }
        line.clear();
    }
    child.wait().expect("the process ended");
    None
}
