//! Whether the real server that tests are held against is on this machine.
use std::process::{Command, Stdio};

/// Whether there is a redis-server; in continuous integration there must be one.
pub(crate) fn has_redis() -> bool {
    let found = Command::new("redis-server")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if found.is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "redis-server must be installed where CI is set"
        );
        eprintln!("skipped: there is no redis-server on the PATH");
    }
    found.is_ok()
}
