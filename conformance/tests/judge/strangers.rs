//! Servers that nobody has described: started by a command, or running already. What they are is found out by talking to
//! them, and a running one is left as it was.
use std::process::Output;

use psync_conformance::control::Control;
use psync_conformance::process::{StartOptions, Subject};
use psync_conformance::transcript::{CaseClock, Transcript};
use psync_model::rulebook::Era;

use crate::support::{PROGRAM, embedded, program};

/// What a run said, on both outputs.
fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn running(era: Era) -> Subject {
    Subject::start(&embedded(era, &[], 5_000), &StartOptions::default()).unwrap()
}

fn control(server: &Subject) -> Control {
    server
        .control(Transcript::new("test", CaseClock::start()))
        .unwrap()
}

#[test]
fn a_command_is_enough_to_be_judged_in_both_roles_by_the_era_the_server_shows() {
    for era in Era::ALL {
        let command = format!(
            "{PROGRAM} embedded-server --port {{port}} --dir {{dir}} --era {era} --replicaof {{primary_host}} {{primary_port}}"
        );
        let output = program(&["run", "--command", &command, "--shard", "1/40"]);
        let text = said(&output);
        assert!(text.contains(&format!("speaks like era {era}\n")), "{text}");
        assert_eq!(output.status.code(), Some(0), "{text}");
        let table = text.lines().filter(|line| line.starts_with(era.name()));
        assert!(
            table.filter(|line| line.contains(" / ")).count() == 2,
            "{text}"
        );
    }
}

#[test]
fn a_running_server_is_judged_as_a_primary_and_left_as_it_was() {
    let server = running(Era::Psync2V7);
    let mut control = control(&server);
    let size = ["CONFIG", "GET", "repl-backlog-size"];
    let before = control.accepted(&size).unwrap();
    let addr = server.addr().to_string();
    let output = program(&["run", "--connect", &addr, "--shard", "1/120"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("conforms"), "{text}");
    assert_eq!(control.accepted(&size).unwrap(), before);
    assert_eq!(control.data_set().unwrap().len(), 0);
}

#[test]
fn a_running_server_that_holds_data_is_refused_unless_the_user_says_so() {
    let server = running(Era::Psync2V7);
    let mut control = control(&server);
    control.expect_ok(&["SET", "precious", "data"]).unwrap();
    let addr = server.addr().to_string();
    let output = program(&["run", "--connect", &addr]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--allow-data"));
    assert_eq!(control.data_set().unwrap().len(), 1);
    let remote = program(&["run", "--connect", "192.0.2.1:6379"]);
    assert_eq!(remote.status.code(), Some(2));
    assert!(said(&remote).contains("--allow-remote"));
}
