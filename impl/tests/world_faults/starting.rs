//! Starts that cannot succeed: they say why, and leave everything as it is.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::process::Process;

/// What becomes of a server that is started on a port and in a folder, and ends by itself.
fn start(port: u16, folder: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_psync-server"))
        .args(["--port", &port.to_string(), "--dir"])
        .arg(folder)
        .args(options)
        .stdin(Stdio::null())
        .output()
        .expect("the program exists")
}

#[test]
fn on_a_port_that_is_taken_nobody_starts_and_nobody_is_disturbed() {
    let first = Process::ours(&[]);
    first.command(&["SET", "x", "1"]);
    first.command(&["SAVE"]);
    let saved = fs::read(first.folder().join("dump.rdb")).expect("the snapshot");
    let ended = start(first.port(), first.folder(), &["--save", "1 1"]);
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    let expected = format!("cannot listen on 127.0.0.1:{}", first.port());
    assert!(said.contains(&expected), "{said}");
    assert_eq!(first.files(), ["dump.rdb"]);
    assert!(fs::read(first.folder().join("dump.rdb")).expect("the snapshot") == saved);
    assert_eq!(first.command(&["GET", "x"]), "1");
}

#[test]
fn only_the_addresses_that_are_bound_are_listened_on() {
    let by_default = Process::ours(&[]);
    let wide = Process::ours(&["--bind", "127.0.0.1 127.0.0.2"]);
    let reaches =
        |server: &Process| std::net::TcpStream::connect(("127.0.0.2", server.port())).is_ok();
    assert!(!reaches(&by_default) && reaches(&wide));
}

#[test]
fn a_broken_file_is_refused_and_left_as_it_is() {
    let mut server = Process::ours(&[]);
    server.command(&["RPUSH", "list", "a", "b", "c"]);
    server.command(&["SET", "x", "1"]);
    server.command(&["SAVE"]);
    server.kill();
    let file = server.folder().join("dump.rdb");
    let sound = fs::read(&file).expect("the snapshot");
    let mut broken: Vec<Vec<u8>> = [0, 8, 30, sound.len() / 2, sound.len() - 1]
        .map(|at| {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            bytes
        })
        .into();
    broken.extend([0, 5, sound.len() - 1].map(|length| sound[..length].to_vec()));
    for bytes in broken {
        fs::write(&file, &bytes).expect("the file can be written");
        let ended = start(0, server.folder(), &[]);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("is refused and left as it is"), "{said}");
        assert!(fs::read(&file).expect("the snapshot") == bytes);
    }
    fs::write(&file, &sound).expect("the file can be written");
    server.restart(&[]);
    assert_eq!(server.command(&["GET", "x"]), "1");
}
