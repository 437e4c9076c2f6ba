//! What the tests share: the embedded server as a subject, suites derived once, and the built program.
use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};

use psync_conformance::profile::Profile;
use psync_conformance::run::{self, Suite};
use psync_conformance::stage::as_replica::played_era;
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::rulebook::Era;
use psync_model::situation::Target;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_psync-conformance");

/// How many cases are played at a time: they mostly wait.
pub(crate) const JOBS: usize = 8;

/// The embedded server of an era, with words added to its command.
pub(crate) fn embedded(era: Era, words: &[&str], observe_ms: u64) -> Profile {
    let words: Vec<String> = words.iter().map(|word| format!(", \"{word}\"")).collect();
    let words = words.concat();
    let text = format!(
        r#"
name = "psync"
era = "{era}"
command = ["{PROGRAM}", "embedded-server", "--port", "{{port}}", "--dir", "{{dir}}", "--era", "{{era}}"{words}]
replica_args = ["--replicaof", "{{primary_host}}", "{{primary_port}}"]
controls = ["directives", "backlog-size", "config-set", "save", "diskless-sync", "diskless-delay", "key-save-delay", "backlog-ttl", "restart", "kill", "info", "wait"]
[config]
repl-ping-replica-period = "3600"
[waits]
observe_ms = {observe_ms}
"#
    );
    let mut profile = Profile::parse(&text, "test").unwrap();
    profile.era = played_era(era);
    profile
}

/// The cases and targets of an era and a casting; derived once in a process.
pub(crate) fn suite(era: Era, casting: Casting) -> Suite {
    type Derived = BTreeMap<(Era, Casting), (Vec<Case>, std::collections::BTreeSet<Target>)>;
    static DERIVED: OnceLock<Mutex<Derived>> = OnceLock::new();
    let mut derived = DERIVED.get_or_init(Mutex::default).lock().unwrap();
    if !derived.contains_key(&(era, casting)) {
        let castings: &[Casting] = match casting {
            Casting::Whole => &[Casting::Whole],
            _ => &Casting::OF_PAIR,
        };
        for suite in run::suites(era, castings, false).unwrap() {
            derived.insert((era, suite.casting), (suite.cases, suite.targets));
        }
    }
    let (cases, targets) = derived[&(era, casting)].clone();
    Suite {
        era,
        casting,
        cases,
        targets,
        explored: (0, 0),
        repeat: 1,
    }
}

/// Runs the program, with an empty standard input.
pub(crate) fn program(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new(PROGRAM)
        .args(args)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}
