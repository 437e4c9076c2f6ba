//! `sweep`: the network fails at every byte of a short conversation, and nothing may come of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use psync_conformance::profile::{Access, Profile};
use psync_conformance::proxy::End;
use psync_conformance::report::swept::{SweepRecord, WrongRecord};
use psync_conformance::run::in_parallel;
use psync_conformance::stage::as_replica::played_era;
use psync_conformance::sweep::{Damage, Lengths, Place, Setup, Wrong, measure, try_at};
use psync_model::casting::Casting;
use psync_model::rulebook::Era;
use psync_model::world::Framing;

use super::list::{Choice, EraChoice};
use super::progress::Meter;
use super::run::REPORTS;
use super::subject::{self, EMBEDDED, SubjectArgs};
use super::{DOES_NOT_CONFORM, MISUSE, interrupt};

/// How many conversations are held at a time unless told otherwise: they mostly wait for a replica to come back.
const DEFAULT_JOBS: u8 = 16;

/// How much longer a conversation takes in which the network fails: replicas wait a second before they come again.
const COMES_AGAIN: Duration = Duration::from_secs(1);

/// Who talks with whom, and where the network fails.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Only this generation of the protocol, or `auto`; may be repeated [default: all that the subject claims]
    #[arg(long, value_name = "NAME|auto")]
    era: Vec<EraChoice>,
    /// Only with the subject in this place, `whole` for both at once; may be repeated [default: primary and replica]
    #[arg(long)]
    casting: Vec<Casting>,
    /// How snapshots are sent, where the primary can be told
    #[arg(long, default_value = "disk")]
    framing: Framing,
    /// Only failures of this kind; may be repeated [default: both]
    #[arg(long, value_enum)]
    damage: Vec<Damage>,
    /// Only count the bytes that this end sends; may be repeated [default: both]
    #[arg(long, value_enum)]
    from: Vec<Sender>,
    /// Only every N-th byte
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    /// Only after so many bytes
    #[arg(long, value_name = "N", conflicts_with = "every")]
    byte: Option<u64>,
    /// How many conversations to hold at a time; each has two servers of its own
    #[arg(long, value_name = "N", default_value_t = DEFAULT_JOBS, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// The folder for the logs of what went wrong [default: target/psync/<name of the subject>/sweep]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// The moment until which conversations may begin; the places are then as close to each other as that allows.
    #[arg(skip)]
    until: Option<Instant>,
}

impl Args {
    /// Both failures in the bytes of both ends, at as many places as can be tried until this moment.
    pub(crate) fn until(subject: SubjectArgs, report: PathBuf, until: Instant) -> Self {
        Self {
            subject,
            era: Vec::new(),
            casting: Vec::new(),
            framing: Framing::Disk,
            damage: Vec::new(),
            from: Vec::new(),
            every: 1,
            byte: None,
            jobs: DEFAULT_JOBS,
            report: Some(report),
            until: Some(until),
        }
    }
}

/// An end of the connection, as people call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sender {
    /// The primary's bytes: answers, the snapshot, the stream.
    Primary,
    /// The replica's bytes: the handshake, the request, acknowledgements.
    Replica,
}

impl Sender {
    const fn end(self) -> End {
        match self {
            Self::Primary => End::Server,
            Self::Replica => End::Client,
        }
    }

    const fn length(self, lengths: Lengths) -> u64 {
        match self {
            Self::Primary => lengths.from_primary,
            Self::Replica => lengths.from_replica,
        }
    }
}

/// What one end of one conversation was cut and held up at.
struct Row {
    damage: Damage,
    sender: Sender,
    bytes: Vec<u64>,
}

/// Sweeps.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let choice = Choice {
        era: args.era.clone(),
        casting: args.casting.clone(),
        ..Choice::default()
    };
    let chosen = args.subject.choose(&choice)?;
    ensure!(
        matches!(chosen.profile.access, Access::Start { .. }),
        "the sweep starts a new server for each byte, and {} runs already: say how to start it, with --command",
        chosen.profile.name
    );
    interrupt::take_signals()?;
    subject::sanity(&chosen.profile, &choice.castings(&chosen.profile))?;
    let mut records = Vec::new();
    for era in chosen.eras {
        for casting in choice.castings(&chosen.profile) {
            let setup = setup(&chosen.profile, era, casting, args.framing)?;
            records.extend(sweep(args, &setup, era)?);
        }
    }
    Ok(conclude(&chosen.profile.name, &records))
}

/// The subject in this place, and our own server in the other.
pub(crate) fn setup(
    profile: &Profile,
    era: Era,
    casting: Casting,
    framing: Framing,
) -> anyhow::Result<Setup> {
    let era = played_era(era);
    let with_era = |profile: Profile| Profile { era, ..profile };
    Ok(Setup {
        subject: with_era(profile.clone()),
        peer: with_era(Profile::load(EMBEDDED)?),
        casting,
        framing,
    })
}

/// One conversation, at each of its bytes; none if the sweep was stopped before.
pub(crate) fn sweep(args: &Args, setup: &Setup, era: Era) -> anyhow::Result<Option<SweepRecord>> {
    if interrupt::came() {
        return Ok(None);
    }
    let casting = setup.casting;
    let who = format!("{era}, {} as the {}", setup.subject.name, casting.name());
    let begun = Instant::now();
    let measured =
        measure(setup).with_context(|| format!("{who}: the conversation could not be held"))?;
    let mut record = SweepRecord {
        era,
        casting,
        every: u64::from(args.every),
        right: 0,
        missed: 0,
        not_judged: 0,
        wrong: Vec::new(),
        elapsed_ms: 0,
    };
    match measured {
        Ok(lengths) => {
            println!(
                "{who}: {} bytes from the primary, {} from the replica",
                lengths.from_primary, lengths.from_replica
            );
            if let Some(until) = args.until {
                record.every = fitting(lengths, begun.elapsed(), until, args.jobs);
            }
            let rows = rows(args, lengths, record.every);
            for (number, row) in rows.iter().enumerate() {
                let until = args.until.map(|until| share(until, rows.len() - number));
                sweep_row(args, setup, &who, row, until, &mut record)?;
            }
        }
        Err(wrong) => {
            let again = format!(
                "psync-conformance sweep {} --era {era} --casting {}",
                args.subject.as_options(),
                casting.name()
            );
            let place = format!("{who}, on a network that works");
            let profile = &setup.subject;
            let wrong = WrongRecord::of((era, casting), &wrong, place, 1, again, profile);
            print_wrong(&wrong);
            record.wrong.push(wrong);
        }
    }
    record.elapsed_ms = begun.elapsed().as_millis() as u64;
    Ok(Some(record))
}

/// How many bytes must lie between two places so that all can be tried in time, where one conversation on a network that
/// works took so long. Where it fails a replica comes again, and that takes longer.
fn fitting(lengths: Lengths, one: Duration, until: Instant, jobs: u8) -> u64 {
    let kinds = Damage::value_variants().len() as u64;
    let bytes = kinds * (lengths.from_primary + lengths.from_replica);
    let needed = (one + COMES_AGAIN).as_secs_f64() * bytes as f64 / f64::from(jobs);
    let left = until
        .saturating_duration_since(Instant::now())
        .as_secs_f64();
    (needed / left.max(1.0)).ceil().max(1.0) as u64
}

/// The share of one of so many rows in the time that is left.
fn share(until: Instant, rows: usize) -> Instant {
    let now = Instant::now();
    now + until.saturating_duration_since(now) / u32::try_from(rows).unwrap_or(1).max(1)
}

fn rows(args: &Args, lengths: Lengths, every: u64) -> Vec<Row> {
    let is_meant = |damage: &Damage| args.damage.is_empty() || args.damage.contains(damage);
    let is_counted = |sender: &Sender| args.from.is_empty() || args.from.contains(sender);
    let damages = Damage::value_variants().iter().copied().filter(is_meant);
    let bytes = |sender: Sender| match args.byte {
        Some(byte) => vec![byte],
        None => (0..sender.length(lengths))
            .step_by(usize::try_from(every).unwrap_or(usize::MAX))
            .collect(),
    };
    let of_damage = |damage: Damage| {
        let senders = Sender::value_variants().iter().copied().filter(is_counted);
        senders.map(move |sender| Row {
            damage,
            sender,
            bytes: bytes(sender),
        })
    };
    damages.flat_map(of_damage).collect()
}

fn sweep_row(
    args: &Args,
    setup: &Setup,
    who: &str,
    row: &Row,
    until: Option<Instant>,
    record: &mut SweepRecord,
) -> anyhow::Result<()> {
    let what = format!("{} {}", verb(row.damage), name(row.sender));
    let mut meter = Meter::new(what.clone(), row.bytes.len());
    let try_one = |place: usize| {
        let (damage, from, byte) = (row.damage, row.sender.end(), row.bytes[place]);
        try_at(setup, Place { damage, from, byte })
    };
    let (count, jobs) = (row.bytes.len(), usize::from(args.jobs));
    let held = in_parallel(
        count,
        jobs,
        &interrupt::STOP,
        until,
        try_one,
        |place, held| {
            let trouble = match held {
                Ok(Ok(_)) => None,
                Ok(Err(wrong)) => Some(format!(
                    "WRONG after byte {}: {}",
                    row.bytes[place],
                    wrong.required.name()
                )),
                Err(error) => Some(format!(
                    "not judged at byte {}: {error:#}",
                    row.bytes[place]
                )),
            };
            meter.done(trouble.as_deref());
        },
    );
    drop(meter);
    let mut groups: BTreeMap<String, Vec<(u64, Wrong)>> = BTreeMap::new();
    let (mut right, mut missed) = (0, 0);
    for (place, held) in held {
        match held {
            Ok(Ok(true)) => right += 1,
            Ok(Ok(false)) => missed += 1,
            Ok(Err(wrong)) => {
                let group = groups.entry(wrong.required.name().to_owned()).or_default();
                group.push((row.bytes[place], wrong));
            }
            Err(_) => record.not_judged += 1,
        }
    }
    record.right += right;
    record.missed += missed;
    let missed = match missed {
        0 => String::new(),
        _ => format!(", {missed} not reached, as fewer bytes came"),
    };
    println!("  {what:<40} {count:>5} places, {right:>5} right{missed}");
    for group in groups.into_values() {
        let wrong = record_group(args, setup, who, row, record.era, &group)?;
        print_wrong(&wrong);
        record.wrong.push(wrong);
    }
    Ok(())
}

/// Of the places at which the same is wrong, the first is told and all are counted.
fn record_group(
    args: &Args,
    setup: &Setup,
    who: &str,
    row: &Row,
    era: Era,
    group: &[(u64, Wrong)],
) -> anyhow::Result<WrongRecord> {
    let (byte, wrong) = &group[0];
    let bytes: Vec<String> = group.iter().map(|(byte, _)| byte.to_string()).collect();
    let folder = args.report.clone();
    let folder =
        folder.unwrap_or_else(|| Path::new(REPORTS).join(&setup.subject.name).join("sweep"));
    let (casting, damage) = (setup.casting.name(), word(&row.damage));
    let file = folder.join(format!(
        "{}-{casting}-{damage}-{}-{byte}.jsonl",
        setup.subject.era.name(),
        word(&row.sender)
    ));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, &wrong.log))
        .with_context(|| format!("could not write {}", file.display()))?;
    let place = format!(
        "{who}, {} {} after byte {}; the wire: psync-conformance watch --verbose --replay {}",
        verb(row.damage),
        name(row.sender),
        bytes.join(", "),
        file.display()
    );
    let again = format!(
        "psync-conformance sweep {} --era {era} --casting {casting} --framing {} --damage {damage} --from {} --byte {byte}",
        args.subject.as_options(),
        word(&setup.framing),
        word(&row.sender)
    );
    let (address, profile) = ((era, setup.casting), &setup.subject);
    Ok(WrongRecord::of(
        address,
        wrong,
        place,
        group.len(),
        again,
        profile,
    ))
}

fn print_wrong(wrong: &WrongRecord) {
    println!("\nWRONG {}", wrong.check);
    println!("  where     {}", wrong.place);
    println!("  required  {}", wrong.requirement);
    println!("{}", wrong.story);
    println!("  again     {}", wrong.again);
    if let Some(reason) = &wrong.deviation {
        println!("  known of this subject: {reason}");
    }
    println!();
}

fn conclude(name: &str, records: &[SweepRecord]) -> ExitCode {
    if interrupt::came() {
        println!("stopped before the end: what is known so far is above");
    }
    let not_judged: usize = records.iter().map(|record| record.not_judged).sum();
    let right: usize = records.iter().map(|record| record.right).sum();
    let wrong = records.iter().flat_map(|record| &record.wrong);
    let wrong = wrong.filter(|wrong| wrong.deviation.is_none());
    let wrong: usize = wrong.map(|wrong| wrong.places).sum();
    if not_judged > 0 {
        println!("{not_judged} places were not judged, because the judge failed");
    }
    if wrong > 0 {
        println!("{name} does not conform: {wrong} places went wrong");
        return DOES_NOT_CONFORM.into();
    }
    if not_judged > 0 || interrupt::came() {
        return MISUSE.into();
    }
    if right == 0 {
        println!(
            "nothing is known of {name}: no conversation came to the place at which it was to be disturbed"
        );
        return MISUSE.into();
    }
    println!("{name} conforms, as far as these places go");
    ExitCode::SUCCESS
}

const fn verb(damage: Damage) -> &'static str {
    match damage {
        Damage::Cut => "cut",
        Damage::Stall => "stand still",
    }
}

const fn name(sender: Sender) -> &'static str {
    match sender {
        Sender::Primary => "in the primary's bytes",
        Sender::Replica => "in the replica's bytes",
    }
}

/// As it is written on the command line.
fn word(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_time_there_is_the_further_apart_are_the_places() {
        let lengths = Lengths {
            from_primary: 300,
            from_replica: 100,
        };
        let one = Duration::from_millis(500);
        let every = |seconds: u64| {
            let until = Instant::now() + Duration::from_secs(seconds);
            fitting(lengths, one, until, 8)
        };
        // Twice 400 places, a second and a half each, eight at a time: 150 seconds.
        assert_eq!(every(3_600), 1);
        assert!((4..=6).contains(&every(30)), "{}", every(30));
        assert!(every(0) > 100);
    }
}
