//! The figures, in the order of the table: what each must be and is meant to be.

use crate::scenarios::throughput::{PIPELINES, REPLICAS, cost_at, rate_of};
use crate::scenarios::{data, partial, snapshot, stopped, waiting};

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) goal: Goal,
    pub(crate) source: Source,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// What a figure is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// Its ratio to that of the first peer.
    First { must: f64, aim: f64 },
    /// Its ratio to the best of the peers.
    Best { must: f64, aim: f64 },
    /// A number.
    Alone { must: f64, aim: f64 },
    /// Nothing; it is told because it explains others.
    Told,
}

/// Where the values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Samples under the name of the figure.
    Samples,
    /// The samples under one name less those under another.
    Difference { of: String, less: String },
}

/// Figures under one heading.
pub(crate) struct Section {
    pub(crate) heading: &'static str,
    pub(crate) figures: Vec<Figure>,
}

/// All sections.
pub(crate) fn sections() -> Vec<Section> {
    let section = |heading, figures| Section { heading, figures };
    vec![
        section("Throughput", throughput()),
        section("What a SET costs the primary", [costs(), prices()].concat()),
        section("Resynchronization", resynchronization()),
        section("Waiting for replicas", waits()),
        section("Memory", memory()),
        section("During a snapshot", snapshots()),
        section("Start", start()),
    ]
}

fn sampled(name: impl Into<String>, unit: &'static str, better: Better, goal: Goal) -> Figure {
    Figure {
        name: name.into(),
        unit,
        better,
        goal,
        source: Source::Samples,
    }
}

fn throughput() -> Vec<Figure> {
    let mut figures = Vec::new();
    for command in ["SET", "GET"] {
        for (pipeline, _) in PIPELINES {
            for replicas in 0..=REPLICAS {
                let goal = if pipeline == 1 {
                    Goal::Best {
                        must: 0.95,
                        aim: 1.1,
                    }
                } else {
                    Goal::Best {
                        must: 1.0,
                        aim: 1.5,
                    }
                };
                let name = rate_of(command, pipeline, replicas);
                figures.push(sampled(name, "k/s", Better::More, goal));
            }
        }
    }
    figures
}

/// Where the load does not wait for each reply, the processor time of the primary is the server's own.
fn deep_pipelines() -> impl Iterator<Item = u64> {
    let pipelines = PIPELINES.into_iter().map(|(pipeline, _)| pipeline);
    pipelines.filter(|pipeline| *pipeline > 1)
}

fn costs() -> Vec<Figure> {
    let goal = Goal::First {
        must: 1.0,
        aim: 0.7,
    };
    let at = |pipeline| {
        (0..=REPLICAS)
            .map(move |replicas| sampled(cost_at(pipeline, replicas), "µs", Better::Less, goal))
    };
    deep_pipelines().flat_map(at).collect()
}

fn prices() -> Vec<Figure> {
    let price = |pipeline: u64, replica: usize| Figure {
        name: format!(
            "added by the {} replica, pipeline {pipeline}",
            ["", "first", "second"][replica]
        ),
        unit: "µs",
        better: Better::Less,
        goal: Goal::First {
            must: 1.0,
            aim: 0.5,
        },
        source: Source::Difference {
            of: cost_at(pipeline, replica),
            less: cost_at(pipeline, replica - 1),
        },
    };
    let at = |pipeline| (1..=REPLICAS).map(move |replica| price(pipeline, replica));
    deep_pipelines().flat_map(at).collect()
}

fn resynchronization() -> Vec<Figure> {
    let full = Goal::First {
        must: 0.8,
        aim: 0.5,
    };
    let names = data::resynchronizations().into_iter();
    let mut figures: Vec<_> = names
        .map(|name| sampled(name, "s", Better::Less, full))
        .collect();
    let goal = Goal::First {
        must: 1.0,
        aim: 0.7,
    };
    figures.push(sampled(partial::TIME, "ms", Better::Less, goal));
    figures
}

fn waits() -> Vec<Figure> {
    let goal = Goal::First {
        must: 1.0,
        aim: 0.8,
    };
    vec![
        sampled(waiting::MEDIAN, "µs", Better::Less, goal),
        sampled(waiting::HIGH, "µs", Better::Less, Goal::Told),
    ]
}

fn memory() -> Vec<Figure> {
    let goal = Goal::First {
        must: 1.0,
        aim: 0.8,
    };
    let mut figures: Vec<_> = data::memories()
        .into_iter()
        .map(|name| sampled(name, "MB", Better::Less, goal))
        .collect();
    let goal = Goal::Alone {
        must: 1.05,
        aim: 1.0,
    };
    figures.push(sampled(stopped::RATIO, "×", Better::Less, goal));
    figures.push(sampled(stopped::ONE, "MB", Better::Less, Goal::Told));
    figures
}

fn snapshots() -> Vec<Figure> {
    let (peak, pause) = (
        Goal::Alone {
            must: 1.3,
            aim: 1.1,
        },
        Goal::Alone {
            must: 5.0,
            aim: 1.0,
        },
    );
    vec![
        sampled(snapshot::PEAK, "×", Better::Less, peak),
        sampled(snapshot::PAUSE, "ms", Better::Less, pause),
        sampled(snapshot::PAUSE_WITHOUT, "ms", Better::Less, Goal::Told),
    ]
}

fn start() -> Vec<Figure> {
    let goal = Goal::First {
        must: 1.0,
        aim: 0.5,
    };
    vec![sampled(data::START, "s", Better::Less, goal)]
}
