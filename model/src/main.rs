//! `psync-model`: the specification on the command line. What it can do is in [`cli`].

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    sigpipe::reset();
    let cli = cli::Cli::parse();
    match cli::run(cli) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            eprintln!("psync-model: {error:#}");
            cli::MISUSE.into()
        }
    }
}
