//! The program `psync-server`; everything is in the library, so that other programs can serve too.

use std::process::ExitCode;

fn main() -> ExitCode {
    psync_server::run(std::env::args_os().skip(1))
}
