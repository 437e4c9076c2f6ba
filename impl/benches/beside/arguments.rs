//! The command line, and the plan that it makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::scenarios::Scenario;

/// Measures our server beside real ones.
#[derive(Debug, Parser)]
#[command(name = "beside")]
pub(crate) struct Arguments {
    /// A server to stand beside, by a name of your choice; repeatedly. The first is the one that ratios are made with,
    /// except those of throughput, which are made with the fastest. [default: redis=redis-server]
    #[arg(long = "peer", value_name = "NAME=PATH")]
    peers: Vec<String>,
    /// Our server. [default: the one built together with this program]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// How often everything is measured; medians are made of so many. [default: 5, quick: 1]
    #[arg(long)]
    rounds: Option<usize>,
    /// Makes data sets and loads smaller, such as 0.1. [default: 1, quick: 0.2]
    #[arg(long)]
    scale: Option<f64>,
    /// One round with a fifth of the data: some minutes.
    #[arg(long)]
    quick: bool,
    /// Measures these only.
    #[arg(long, value_name = "ROW,...", value_delimiter = ',')]
    only: Vec<Scenario>,
    /// Where the document goes; its pictures go into `figures` beside it. [default: impl/BENCHMARKS.md, after everything
    /// was measured in full size]
    #[arg(long, value_name = "PATH")]
    document: Option<PathBuf>,
    /// Makes a load instead of measuring.
    #[arg(long, hide = true)]
    pub(crate) load: Option<String>,
    /// Given by `cargo bench`; changes nothing.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A server under measurement.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// With its version, as tables show it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// What is to be measured, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Ours first, then the peers.
    pub(crate) servers: Vec<Program>,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) rounds: usize,
    pub(crate) scale: f64,
    /// The `redis-benchmark` that makes the load; without one we make it ourselves.
    pub(crate) load_program: Option<PathBuf>,
    pub(crate) document: Option<PathBuf>,
    /// The words after `--`, as far as they tell nothing of this machine.
    pub(crate) told: String,
}

impl Plan {
    pub(crate) fn of(arguments: Arguments) -> Result<Self> {
        let told = told(&arguments);
        let ours = arguments
            .server
            .unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_psync-server")));
        let mut servers = vec![Program::named("psync-server", ours)?];
        let peers = if arguments.peers.is_empty() {
            vec!["redis=redis-server".to_owned()]
        } else {
            arguments.peers
        };
        for peer in &peers {
            let (name, path) = peer.split_once('=').with_context(|| {
                format!("`--peer {peer}`: expected NAME=PATH, as in redis=redis-server")
            })?;
            servers.push(Program::named(name, PathBuf::from(path))?);
        }
        let quick = arguments.quick;
        let scale = arguments.scale.unwrap_or(if quick { 0.2 } else { 1.0 });
        let rounds = arguments.rounds.unwrap_or(if quick { 1 } else { 5 });
        if !(scale > 0.0 && scale <= 1.0) || rounds == 0 {
            bail!("`--scale` lies between 0 and 1, and there is at least one round");
        }
        let complete = arguments.only.is_empty() && scale >= 1.0;
        let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("BENCHMARKS.md");
        Ok(Self {
            servers,
            scenarios: if arguments.only.is_empty() {
                Scenario::ALL.to_vec()
            } else {
                arguments.only
            },
            rounds,
            scale,
            load_program: answers("redis-benchmark").then(|| PathBuf::from("redis-benchmark")),
            document: arguments.document.or_else(|| complete.then(usual)),
            told,
        })
    }

    /// So many, made smaller by the scale.
    pub(crate) fn scaled(&self, count: u64) -> u64 {
        ((count as f64 * self.scale) as u64).max(1)
    }
}

impl Program {
    fn named(name: &str, path: PathBuf) -> Result<Self> {
        let output = Command::new(&path).arg("--version").output();
        let output = output.with_context(|| {
            format!(
                "{} cannot be started; give the path of a server with --peer NAME=PATH",
                path.display()
            )
        })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // `Redis server v=7.0.15 sha=...`, `psync-server 0.1.0`.
        let version = text.split_whitespace().find_map(|word| {
            let number = word.strip_prefix("v=").unwrap_or(word);
            number
                .starts_with(|first: char| first.is_ascii_digit())
                .then(|| number.to_owned())
        });
        let version = version
            .with_context(|| format!("{} does not tell its version: {text}", path.display()))?;
        Ok(Self {
            name: format!("{name} {version}"),
            path,
        })
    }
}

fn answers(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// The arguments for the command in the document: names instead of paths, which differ from machine to machine.
fn told(arguments: &Arguments) -> String {
    let mut words = Vec::new();
    for peer in &arguments.peers {
        let name = peer.split('=').next().unwrap_or_default();
        words.push(format!("--peer {name}=PATH"));
    }
    if let Some(rounds) = arguments.rounds {
        words.push(format!("--rounds {rounds}"));
    }
    if let Some(scale) = arguments.scale {
        words.push(format!("--scale {scale}"));
    }
    if arguments.quick {
        words.push("--quick".to_owned());
    }
    if !arguments.only.is_empty() {
        let names: Vec<_> = arguments.only.iter().map(|row| row.name()).collect();
        words.push(format!("--only {}", names.join(",")));
    }
    words.join(" ")
}
