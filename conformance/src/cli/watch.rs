//! `watch`: stand between real replicas and a real primary, and say what the protocol does not allow.

use std::fs::File;
use std::io::{BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use psync_conformance::guard::{self, Permission};
use psync_conformance::watch::{self, Figures, Now, SAFETY, Said, Tap, TapOptions, WINDOW_MS};
use psync_model::claims;

use super::budget::Budget;
use super::{DOES_NOT_CONFORM, interrupt};

/// How often the live line is written anew on a terminal.
const LINE_EVERY: Duration = Duration::from_millis(500);
/// How often a line is written where none can be written anew.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);
/// The claim that the advice rests on.
const REASON: &str = "backlog-covers-what-is-missing";

const DETAILS: &str = "\
Tell a replica to follow the watcher instead of its primary:
  psync-conformance watch --listen 127.0.0.1:7777 --primary 127.0.0.1:6379
  redis-cli -p 6380 REPLICAOF 127.0.0.1 7777

Every byte passes on unchanged. Violations are printed as they are seen: the rule with its section in PROTOCOL, what
was expected, what was seen, and where. A doubt is a step that only something unseen would make legal (a restart,
another way to the same server); it is printed and does not count against anybody. It ends with Ctrl-C or after
--for, with what was measured and the backlog that follows from it.

Exit status: 0 no violation, 1 violations, 2 the watch could not begin or go on.";

/// Between whom, and for how long.
#[derive(Debug, clap::Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Args {
    /// Where replicas connect: host:port, port 0 for any
    #[arg(long, value_name = "ADDR", required_unless_present = "replay")]
    listen: Option<String>,
    /// The primary: host:port
    #[arg(long, value_name = "ADDR", required_unless_present = "replay")]
    primary: Option<String>,
    /// How long to watch: 60s, 10m, 2h, or all (until Ctrl-C)
    #[arg(long = "for", value_name = "TIME", default_value = "all")]
    budget: Budget,
    /// Keep what passes: JSON Lines, without the inside of snapshots
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Judge such a log again, instead of watching
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "primary", "log", "budget"])]
    replay: Option<PathBuf>,
    /// How many MiB of the streams are remembered, to be compared when they are sent again
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    memory: u16,
    /// Also say how each request was answered
    #[arg(long, short)]
    verbose: bool,
}

/// Watches, or judges a log.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(file) = &args.replay {
        return replay(file, args.verbose);
    }
    // A watcher changes nothing, so that it may stand before any server.
    let address = |text: &Option<String>| {
        guard::resolve(text.as_deref().unwrap_or_default(), Permission::EVERYTHING)
    };
    let options = TapOptions {
        listen: address(&args.listen)?,
        primary: address(&args.primary)?,
        memory_bytes: usize::from(args.memory) << 20,
        log: args.log.clone(),
    };
    interrupt::take_signals_saying("the watch ends")?;
    let screen = Arc::new(Screen::new(args.verbose));
    let theirs = Arc::clone(&screen);
    let tap = Tap::start(&options, move |said| theirs.say(&said))?;
    eprintln!(
        "watching {} for replicas that connect to {}",
        options.primary,
        tap.addr()
    );
    let started = Instant::now();
    screen.until_end(&tap, started, args.budget);
    let figures = tap.stop()?;
    screen.clear();
    Ok(conclude(&figures, Some(started.elapsed())))
}

fn replay(file: &Path, is_verbose: bool) -> anyhow::Result<ExitCode> {
    let log = File::open(file).with_context(|| format!("could not open {}", file.display()))?;
    let screen = Screen::plain(is_verbose);
    let judge = watch::replay(BufReader::new(log), |said| screen.say(&said))
        .with_context(|| format!("could not judge {}", file.display()))?;
    Ok(conclude(judge.figures(), None))
}

/// Where findings, notes and the live line go.
struct Screen {
    bar: Option<ProgressBar>,
    is_verbose: bool,
}

impl Screen {
    fn new(is_verbose: bool) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::no_length();
            if let Ok(style) = ProgressStyle::with_template("{elapsed_precise}  {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, is_verbose }
    }

    fn plain(is_verbose: bool) -> Self {
        Self {
            bar: None,
            is_verbose,
        }
    }

    /// Findings to standard output, the rest to standard error.
    fn say(&self, said: &Said) {
        self.above(|| match said {
            Said::Finding(finding) => println!("{finding}\n"),
            Said::Note {
                at_ms,
                link,
                replica,
                text,
                is_limit,
            } if *is_limit || self.is_verbose => {
                let at = *at_ms as f64 / 1000.0;
                eprintln!("{at:.3} s, link {link} ({replica}): {text}");
            }
            Said::Note { .. } => {}
        });
    }

    fn above(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Shows how it stands until the time is up or somebody wants an end.
    fn until_end(&self, tap: &Tap, started: Instant, budget: Budget) {
        let mut plain_line = started + PLAIN_LINE_EVERY;
        let is_over = || {
            let is_late = matches!(budget, Budget::Time(limit) if started.elapsed() >= limit);
            is_late || interrupt::STOP.load(Ordering::Relaxed)
        };
        let mut offset = 0;
        while !is_over() {
            thread::sleep(LINE_EVERY);
            let (figures, now) = tap.status();
            let grown = figures.offset().0.saturating_sub(offset).max(0) as u64;
            offset = figures.offset().0;
            let rate = (grown as f64 / LINE_EVERY.as_secs_f64()) as u64;
            let line = live_line(&figures, now, rate);
            if let Some(bar) = &self.bar {
                bar.set_message(line);
            } else if Instant::now() >= plain_line {
                eprintln!("{line}");
                plain_line += PLAIN_LINE_EVERY;
            }
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn live_line(figures: &Figures, now: Now, rate: u64) -> String {
    let counts = figures.counts;
    let lag = now.lag_bytes.map_or_else(
        || "unknown".to_owned(),
        |lag| DecimalBytes(lag.max(0) as u64).to_string(),
    );
    format!(
        "{} of {} links open, offset {}, {}/s, lag {lag}, {} violations, {} doubts",
        now.links,
        counts.links,
        figures.offset().0,
        DecimalBytes(rate),
        counts.violations,
        counts.doubts
    )
}

/// What was measured, what follows from it, and the exit status.
fn conclude(figures: &Figures, time: Option<Duration>) -> ExitCode {
    let counts = figures.counts;
    if let Some(time) = time {
        println!("watched for {:.1} s", time.as_secs_f64());
    }
    println!(
        "{} links: {} full copies, {} continuations, {} refusals; {} links not judged",
        counts.links, counts.full, counts.continued, counts.refused, counts.unjudged
    );
    if let (Some(mean), Some(highest)) = (figures.mean_rate(), figures.highest_rate()) {
        println!(
            "stream at offset {}: {}/s on the mean, {}/s at most (over {} s)",
            figures.offset().0,
            DecimalBytes(mean),
            DecimalBytes(highest),
            WINDOW_MS / 1000
        );
    }
    advise(figures);
    println!("{} violations, {} doubts", counts.violations, counts.doubts);
    match counts.violations {
        0 => ExitCode::SUCCESS,
        _ => DOES_NOT_CONFORM.into(),
    }
}

fn advise(figures: &Figures) {
    let Some(outage) = figures.longest_outage else {
        return println!("no replica went and came back, so there is no backlog to advise");
    };
    println!("longest outage of a replica: {:.3} s", outage.as_secs_f64());
    match figures.advice() {
        None => {}
        Some(Err(error)) => println!("no backlog can be advised: {error}"),
        Some(Ok(advice)) => {
            println!(
                "repl-backlog-size {}  ({SAFETY} × the longest outage × the highest rate)",
                advice.backlog_bytes
            );
            if let Some(claim) = claims::named(REASON) {
                println!(
                    "  because {}  [psync-model claims {REASON}]",
                    claim.sentence
                );
            }
        }
    }
}
