//! The program `psync-server`; everything is in the library, so that other programs can serve too.

use std::process::ExitCode;

/// A third of the time of a short command was the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    psync_server::run(std::env::args_os().skip(1))
}
