//! Every command of the server in every state that decides whether it may run: sent by a user, by a stranger who has not
//! given the password, on the link of a replica, in the stream of a primary, and while data are read. `lines.txt` has at
//! least one line for each command, with arguments for which it does something; `table.txt` says what becomes of each
//! line, and is written by `UPDATE_EXPECT=1`. What a real redis-server makes of the same lines is in `beside_redis`.

mod beside_redis;
mod states;

#[path = "../answer/mod.rs"]
mod answer;
#[path = "../redis_server/mod.rs"]
mod redis_server;
// A test file uses only a part of the simulation.
#[allow(dead_code)]
#[path = "../simulation/mod.rs"]
mod simulation;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::LazyLock;

use expect_test::expect_file;
use psync_server::commands::{self, Flags};
use psync_server::stream;

use states::{Came, State};

/// What everybody who has not given the password is answered, with what a refused `EXEC` has in front.
const NO_PASSWORD: &str = "NOAUTH Authentication required.\r\n";
const ABORTED: &str = "EXECABORT Transaction discarded because of: ";

/// What a stranger may ask for: to be let in, or to leave.
const OPEN: [&str; 4] = ["auth", "hello", "quit", "reset"];

/// The columns of the table.
const HEADER: &str = "line | a user | a stranger | a stranger, while the file is read | on a replica's link \
    | in the stream of a primary | while the file is read | beside a later snapshot that is read\n";

/// That nothing has changed.
const NOTHING: Vec<String> = Vec::new();

/// The lines, in the order of the server's own table of commands.
pub(crate) fn lines() -> impl Iterator<Item = &'static str> {
    include_str!("lines.txt").lines()
}

/// What the server is told of the command that a line begins with, if there is such a command.
fn spec_of(line: &str) -> Option<&'static commands::CommandSpec> {
    let name = line.split(' ').next().expect("a line has a first word");
    commands::lookup(name.as_bytes())
}

/// A line as it is sent. `DUMPED` stands for a dumped string, `ID` for the name of the server's history.
pub(crate) fn request(line: &str, dumped: &[u8], id: &str) -> Vec<u8> {
    let words: Vec<&[u8]> = line
        .split(' ')
        .map(|word| match word {
            "DUMPED" => dumped,
            "ID" => id.as_bytes(),
            word => word.as_bytes(),
        })
        .collect();
    stream::command(&words).to_vec()
}

/// What comes of each line in each state.
fn outcomes() -> &'static [(&'static str, [Came; State::ALL.len()])] {
    static OUTCOMES: LazyLock<Vec<(&str, [Came; State::ALL.len()])>> = LazyLock::new(|| {
        let come_of = |line| (line, State::ALL.map(|state| states::come_of(state, line)));
        lines().map(come_of).collect()
    });
    &OUTCOMES
}

/// What comes of each line in one state.
pub(crate) fn outcomes_in(state: State) -> impl Iterator<Item = (&'static str, &'static Came)> {
    let column = State::ALL.iter().position(|other| *other == state);
    let column = column.expect("every state has a column");
    outcomes()
        .iter()
        .map(move |(line, came)| (*line, &came[column]))
}

#[test]
fn no_command_is_forgotten() {
    let known: BTreeSet<&str> = commands::all().iter().map(|spec| spec.name).collect();
    let tried = lines().filter_map(spec_of).map(|spec| spec.name).collect();
    assert_eq!(known, tried);
}

#[test]
fn each_command_does_what_the_table_says() {
    let mut table = HEADER.to_owned();
    for (line, came) in outcomes() {
        let cells: Vec<String> = came.iter().map(Came::to_string).collect();
        writeln!(table, "{line} | {}", cells.join(" | ")).expect("a string takes everything");
    }
    expect_file!["table.txt"].assert_eq(&table);
}

/// Otherwise the tests below would say nothing.
#[test]
fn every_writing_command_has_a_line_with_which_it_writes() {
    let wrote: BTreeSet<&str> = outcomes_in(State::User)
        .filter(|(_, came)| !came.changes.is_empty())
        .filter_map(|(line, _)| spec_of(line))
        .map(|spec| spec.name)
        .collect();
    for spec in commands::all().iter().filter(|spec| spec.is_write()) {
        assert!(wrote.contains(spec.name), "{}", spec.name);
    }
}

#[test]
fn a_stranger_learns_nothing_and_changes_nothing() {
    for state in [State::Stranger, State::StrangerWhileLoading] {
        for (line, came) in outcomes_in(state) {
            assert_eq!(came.changes, NOTHING, "{line}");
            let spec = spec_of(line).filter(|spec| spec.accepts(line.split(' ').count()));
            if let Some(spec) = spec.filter(|spec| !OPEN.contains(&spec.name)) {
                let aborted = if spec.name == "exec" { ABORTED } else { "" };
                assert_eq!(came.answer, format!("-{aborted}{NO_PASSWORD}"), "{line}");
            }
        }
    }
}

#[test]
fn a_replica_learns_nothing_and_changes_nothing_on_its_link() {
    for (line, came) in outcomes_in(State::ReplicaLink) {
        assert_eq!(came.changes, NOTHING, "{line}");
        assert_eq!(came.answer, "", "{line}");
    }
}

#[test]
fn a_primary_changes_nothing_but_data() {
    for (line, came) in outcomes_in(State::Stream) {
        let is_data = spec_of(line).is_some_and(|spec| !spec.flags.contains(Flags::SERVER));
        // What it cannot execute ends the link, and that is all.
        if !is_data && !came.closed {
            assert_eq!(came.changes, NOTHING, "{line}");
        }
    }
}
