//! `list`: the cases and the checks.

use std::process::ExitCode;
use std::str::FromStr;

use psync_conformance::pattern::Pattern;
use psync_conformance::profile::Profile;
use psync_conformance::run::{self, Suite};
use psync_conformance::verdict::Check;
use psync_model::casting::Casting;
use psync_model::rulebook::Era;

use super::subject::SubjectArgs;

/// What to list.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    #[command(flatten)]
    pub(crate) choice: Choice,
}

/// Which cases are meant.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Choice {
    /// Only this generation of the protocol, or `auto`: the one that the subject's answers show; may be repeated
    /// [default: all that the subject claims]
    #[arg(long, value_name = "NAME|auto")]
    pub(crate) era: Vec<EraChoice>,
    /// Judge by the flaws that servers of the era still have, not by what it should be
    #[arg(long)]
    pub(crate) as_shipped: bool,
    /// Only with the subject in this place, `whole` for several of it in all places; may be repeated
    /// [default: primary and replica]
    #[arg(long)]
    pub(crate) casting: Vec<Casting>,
    /// Only cases whose name contains this, or is this with `*` for anything: `psync/primary/accept-partial/*`
    #[arg(long, value_name = "PATTERN")]
    pub(crate) filter: Option<Pattern>,
    /// Only every M-th case, beginning with the N-th: one machine's share of a run
    #[arg(long, value_name = "N/M")]
    pub(crate) shard: Option<Shard>,
}

/// A generation of the protocol, or the one that the subject shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EraChoice {
    /// By its answers.
    Auto,
    /// This one.
    Named(Era),
}

impl FromStr for EraChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let meant = Era::ALL.into_iter().find(|era| era.name() == text);
        meant.map(Self::Named).ok_or_else(|| {
            let names = Era::ALL.map(Era::name).join(", ");
            format!("{text} is no era; these are: {names}, or auto")
        })
    }
}

/// A share of the cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    number: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a share is N/M with N from 1 to M, for instance 2/5".to_owned();
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let (number, of) = (number.parse().ok(), of.parse().ok());
        match number.zip(of) {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(wrong()),
        }
    }
}

impl Choice {
    /// The castings meant, of those that a subject can be in.
    pub(crate) fn castings(&self, profile: &Profile) -> Vec<Casting> {
        let meant = if self.casting.is_empty() {
            Casting::OF_PAIR.to_vec()
        } else {
            self.casting.clone()
        };
        let can = |casting: &Casting| *casting == Casting::Primary || profile.can_follow();
        let all = Casting::ALL.into_iter();
        all.filter(|casting| meant.contains(casting) && can(casting))
            .collect()
    }

    /// The eras meant.
    pub(crate) fn eras(&self, claimed: &[Era], shown: Era) -> Vec<Era> {
        if self.era.is_empty() {
            return claimed.to_vec();
        }
        let meant = |choice: &EraChoice| match choice {
            EraChoice::Named(era) => *era,
            EraChoice::Auto => shown,
        };
        self.era.iter().map(meant).collect()
    }

    /// Whether the subject is to show its era.
    pub(crate) fn is_auto(&self) -> bool {
        self.era.contains(&EraChoice::Auto)
    }

    /// The suites of one era, without the cases that are not meant.
    pub(crate) fn suites(&self, era: Era, profile: &Profile) -> anyhow::Result<Vec<Suite>> {
        let castings = self.castings(profile);
        let mut suites = run::suites(era, &castings, self.as_shipped)?;
        for suite in &mut suites {
            if let Some(pattern) = &self.filter {
                suite.cases.retain(|case| pattern.finds(&case.header.id));
            }
            if let Some(Shard { number, of }) = self.shard {
                suite.keep_shard(number - 1, of);
            }
        }
        Ok(suites)
    }

    /// Whether cases may be left out.
    pub(crate) fn is_partial(&self) -> bool {
        self.filter.is_some() || self.shard.is_some()
    }
}

/// Prints the cases and the checks.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // Whoever has read enough may close the pipe.
    sigpipe::reset();
    let chosen = args.subject.choose(&args.choice)?;
    for era in chosen.eras {
        for suite in args.choice.suites(era, &chosen.profile)? {
            for case in &suite.cases {
                println!("{:<60} {:>3} steps", case.header.id, case.steps.len());
            }
        }
    }
    println!("\nWhat is looked at in every case:");
    for check in Check::ALL {
        let property = check.property();
        let property = property.map_or_else(String::new, |property| format!(", {property:?}"));
        println!("  {:<17} {}", check.name(), check.sentence());
        println!("  {:<17} {}{property}", "", check.source());
    }
    Ok(ExitCode::SUCCESS)
}
