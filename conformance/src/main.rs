//! `psync-conformance`: the judge on the command line. What it can do is in [`cli`].

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("psync-conformance: {}", story(&error));
            cli::MISUSE.into()
        }
    }
}

/// The error with its causes, each said once: some errors have the text of their cause in their own.
fn story(error: &anyhow::Error) -> String {
    let mut story = String::new();
    for cause in error.chain().map(ToString::to_string) {
        let cause = cause.trim_end();
        if story.is_empty() {
            cause.clone_into(&mut story);
        } else if !story.contains(cause) {
            story = format!("{story}: {cause}");
        }
    }
    story
}
