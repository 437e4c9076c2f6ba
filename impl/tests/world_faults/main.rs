//! What the world does to a server process: disks that are full or may not be written, ports that are taken, files that are
//! broken, a clock that is set, connections that are reset or never read, and ten thousand of them at once.

// A test file uses only a part of the helpers.
#[allow(dead_code)]
#[path = "../process/mod.rs"]
mod process;

mod clock;
mod connections;
mod disk;
mod starting;

/// Bytes of a value that is larger than what a full disk takes, and than what the system keeps for a connection.
const LARGE: usize = 3_000_000;

/// Makes such a value under a key.
fn fill_key(server: &process::Process, key: &str) {
    let last = (LARGE - 1).to_string();
    let length = server.command(&["SETRANGE", key, &last, "v"]);
    assert_eq!(length, format!("int({LARGE})"));
}
