//! A data set: the memory it takes, full resynchronizations of it, and the start with it.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Samples;
use crate::arguments::{Plan, Program};
use crate::load;
use crate::node::Node;

/// A kind of data.
struct Kind {
    name: &'static str,
    keys: u64,
    value_bytes: usize,
}

const LARGE: Kind = Kind {
    name: "1 GB",
    keys: 1_000_000,
    value_bytes: 1_000,
};

const SMALL: Kind = Kind {
    name: "3 million small keys",
    keys: 3_000_000,
    value_bytes: 16,
};

/// How a snapshot travels: over files at both ends, over one at the replica's end, over none.
#[derive(Debug, Clone, Copy)]
struct Way {
    name: &'static str,
    diskless_sync: &'static str,
    diskless_load: &'static str,
}

const DISK: Way = Way {
    name: "disk",
    diskless_sync: "no",
    diskless_load: "disabled",
};

const DISKLESS: Way = Way {
    name: "diskless",
    diskless_sync: "yes",
    diskless_load: "disabled",
};

const DISKLESS_LOAD: Way = Way {
    name: "diskless at both ends",
    diskless_sync: "yes",
    diskless_load: "on-empty-db",
};

/// The sizes of the picture, in quarters of the large data set.
pub(crate) const QUARTERS: [u64; 3] = [1, 2, 4];

/// The figures of full resynchronization.
pub(crate) fn resynchronizations() -> Vec<String> {
    let kinds = [
        (&LARGE, &[DISK, DISKLESS, DISKLESS_LOAD][..]),
        (&SMALL, &[DISK, DISKLESS_LOAD][..]),
    ];
    let names = |(kind, ways): (&Kind, &[Way])| -> Vec<_> {
        ways.iter().map(|way| time_of(kind, *way)).collect()
    };
    kinds.into_iter().flat_map(names).collect()
}

/// The figures of memory.
pub(crate) fn memories() -> [String; 2] {
    [&LARGE, &SMALL].map(memory_of)
}

/// The figure of the start.
pub(crate) const START: &str = "start with an RDB file of 1 GB";

/// A point of the picture.
pub(crate) fn point(quarters: u64) -> String {
    format!("full resynchronization of {quarters} quarters")
}

fn time_of(kind: &Kind, way: Way) -> String {
    format!("full resynchronization, {}, {}", kind.name, way.name)
}

fn memory_of(kind: &Kind) -> String {
    format!("memory, {}", kind.name)
}

pub(super) fn large(plan: &Plan, program: &Program) -> Result<Samples> {
    let mut primary = Node::start(program, &[])?;
    let (mut samples, mut loaded) = (Samples::new(), 0);
    for quarters in QUARTERS {
        let keys = plan.scaled(LARGE.keys) * quarters / QUARTERS[QUARTERS.len() - 1];
        load::fill(&primary, loaded..keys, LARGE.value_bytes)?;
        loaded = keys;
        if quarters == QUARTERS[QUARTERS.len() - 1] {
            samples.push((memory_of(&LARGE), primary.resident()? as f64 / 1e6));
        }
        let seconds = resynchronize(program, &mut primary, DISKLESS_LOAD, loaded)?.as_secs_f64();
        samples.push((point(quarters), seconds));
        if quarters == QUARTERS[QUARTERS.len() - 1] {
            samples.push((time_of(&LARGE, DISKLESS_LOAD), seconds));
        }
    }
    for way in [DISK, DISKLESS] {
        let time = resynchronize(program, &mut primary, way, loaded)?;
        samples.push((time_of(&LARGE, way), time.as_secs_f64()));
    }
    primary.ask::<()>(&["SAVE"])?;
    samples.push((START.to_owned(), primary.restart(loaded)?.as_secs_f64()));
    Ok(samples)
}

pub(super) fn small(plan: &Plan, program: &Program) -> Result<Samples> {
    let mut primary = Node::start(program, &[])?;
    let keys = plan.scaled(SMALL.keys);
    load::fill(&primary, 0..keys, SMALL.value_bytes)?;
    let mut samples = vec![(memory_of(&SMALL), primary.resident()? as f64 / 1e6)];
    for way in [DISK, DISKLESS_LOAD] {
        let time = resynchronize(program, &mut primary, way, keys)?;
        samples.push((time_of(&SMALL, way), time.as_secs_f64()));
    }
    Ok(samples)
}

/// From `REPLICAOF` until a new replica of the same kind has the data and the link.
fn resynchronize(program: &Program, primary: &mut Node, way: Way, keys: u64) -> Result<Duration> {
    primary.set("repl-diskless-sync", way.diskless_sync)?;
    let mut replica = Node::start(program, &["--repl-diskless-load", way.diskless_load])?;
    let time = replica.follow(primary)?;
    let arrived: u64 = replica.ask(&["DBSIZE"])?;
    ensure!(arrived == keys, "{arrived} of {keys} keys arrived");
    Ok(time)
}
