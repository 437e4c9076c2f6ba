//! Subjects as processes: started, stopped, killed, restarted; and those that do not start are named at once.
use std::path::PathBuf;
use std::time::Instant;

use psync_conformance::guard::{Permission, Refusal, check_empty};
use psync_conformance::info::Role;
use psync_conformance::process::{ProcessError, StartOptions, Subject};
use psync_conformance::profile::Profile;

use crate::support::{LIMIT, deadline, redis, shortly, transcript};

fn profile(command: &str, waits: &str) -> Profile {
    let text = format!("name = \"broken\"\nera = \"psync2\"\ncommand = {command}\n{waits}\n");
    Profile::parse(&text, "test").unwrap()
}

#[test]
fn subject_that_ends_early_is_reported_at_once_with_its_output() {
    let started = Instant::now();
    let broken = profile(
        r#"["sh", "-c", "echo cannot open the config file >&2; exit 3"]"#,
        "",
    );
    let error = Subject::start(&broken, &StartOptions::default()).unwrap_err();
    assert!(
        matches!(&error, ProcessError::EndedEarly { status, output, .. } if status.code() == Some(3) && output == "cannot open the config file"),
        "{error}"
    );
    assert!(started.elapsed() < LIMIT / 4);
}

#[test]
fn subject_that_never_answers_and_program_that_is_not_there_are_named() {
    let silent = profile(r#"["sleep", "60"]"#, "waits = { start_ms = 80 }");
    let error = Subject::start(&silent, &StartOptions::default()).unwrap_err();
    assert!(
        matches!(error, ProcessError::NoAnswer { limit_ms: 80, .. }),
        "{error}"
    );
    let missing = profile(r#"["no-such-server-anywhere"]"#, "");
    assert!(matches!(
        Subject::start(&missing, &StartOptions::default()),
        Err(ProcessError::Spawn { .. })
    ));
    let as_replica = StartOptions {
        primary: Some("127.0.0.1:1".parse().unwrap()),
        ..StartOptions::default()
    };
    assert!(matches!(
        Subject::start(&missing, &as_replica),
        Err(ProcessError::NoReplicaArgs { .. })
    ));
}

#[test]
fn killed_subject_restarts_in_its_folder_and_drop_leaves_nothing() {
    let Some(mut server) = redis(&StartOptions::default()) else {
        return;
    };
    let (addr, folder) = (server.addr(), server.data_folder().unwrap());
    let mut control = server.control(transcript("control")).unwrap();
    control.expect_ok(&["SET", "a", "1"]).unwrap();
    control.expect_ok(&["SAVE"]).unwrap();
    control.expect_ok(&["SET", "a", "2"]).unwrap();
    server.kill().unwrap();
    assert!(server.ended().unwrap().is_some());
    assert!(server.ended_by_itself().unwrap().is_none());
    assert!(control.barrier().is_err());

    let as_replica = StartOptions {
        primary: Some("127.0.0.1:1".parse().unwrap()),
        ..StartOptions::default()
    };
    server.restart(&as_replica).unwrap();
    let mut control = server.control(transcript("control")).unwrap();
    assert_eq!(
        (server.addr(), control.replication().unwrap().role),
        (addr, Role::Replica)
    );
    assert_eq!(
        control.data_set().unwrap().get(0, b"a"),
        Some(b"1".as_slice())
    );
    assert!(matches!(
        check_empty(&mut control, Permission::default()),
        Err(Refusal::HoldsData { keys: 1, .. })
    ));
    control.command(&["FLUSHALL"]).unwrap();
    control.expect_ok(&["REPLICAOF", "NO", "ONE"]).unwrap();
    control.command(&["FLUSHALL"]).unwrap();
    check_empty(&mut control, Permission::default()).unwrap();
    control.expect_ok(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    assert!(matches!(
        check_empty(&mut control, Permission::default()),
        Err(Refusal::IsReplica { .. })
    ));
    assert!(server.output_tail().lines().count() > 3);
    assert!(server.terminate().unwrap().success());

    let root: PathBuf = folder.parent().unwrap().into();
    drop(server);
    assert!(!root.exists());
}

#[test]
fn paused_subject_answers_after_it_is_resumed() {
    let Some(server) = redis(&StartOptions::default()) else {
        return;
    };
    let mut control = server.control(transcript("control")).unwrap();
    server.pause().unwrap();
    control.send(&["PING"]).unwrap();
    assert!(control.reply(shortly()).is_err());
    server.resume().unwrap();
    assert_eq!(
        control.reply(deadline()).unwrap().text().as_deref(),
        Some("PONG")
    );
}

#[test]
fn panic_kills_the_subject_and_removes_its_folder() {
    let Some(server) = redis(&StartOptions::default()) else {
        return;
    };
    let (addr, root) = (
        server.addr(),
        server.data_folder().unwrap().parent().unwrap().to_owned(),
    );
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _server = server;
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
    assert!(!root.exists());
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[test]
fn subject_whose_ready_field_stays_away_is_not_ready() {
    let mut never = Profile::load("redis").unwrap();
    let text = "name = \"x\"\nera = \"psync\"\ncommand = \"x\"\nwaits = { start_ms = 3000 }\n\
        ready = { section = \"server\", field = \"no_such_field\" }\n";
    let other = Profile::parse(text, "test").unwrap();
    (never.ready, never.waits) = (other.ready, other.waits);
    if redis(&StartOptions::default()).is_some() {
        let error = Subject::start(&never, &StartOptions::default()).unwrap_err();
        assert!(
            matches!(&error, ProcessError::NoAnswer { last, .. } if last.contains("no_such_field")),
            "{error}"
        );
    }
}
