//! The samples of a run, and what they say of a figure: medians, the ratio within rounds, its spread, a verdict.
//!
//! A ratio is made within a round, where the machine was the same for all, and the median is taken of the ratios. A
//! difference of samples may be near zero or below, so that ratios within a round would say nothing; there the ratio is
//! that of the medians.

use std::collections::BTreeMap;

use crate::arguments::Program;
use crate::figures::{Better, Figure, Goal, Source};
use crate::scenarios::Samples;

/// Differences below this are none: the clock of processor times is not finer.
const NOTHING: f64 = 0.005;

/// Everything that was seen.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) servers: Vec<Program>,
    /// By server and name, in the order of rounds.
    samples: BTreeMap<(usize, String), Vec<f64>>,
}

/// What is said about a figure.
#[derive(Debug)]
pub(crate) struct Finding {
    /// The median of each server, ours first.
    pub(crate) medians: Vec<f64>,
    /// What is held against the goal, with its smallest and largest value in a round; nothing without a goal, and where
    /// the peer has nothing to divide by.
    pub(crate) measure: Option<Measure>,
    pub(crate) verdict: Verdict,
}

/// A median and its spread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// How a figure stands to its goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Reached,
    Met,
    Missed,
    /// It has no goal.
    Told,
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Reached => "aim",
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::Told => "",
        }
    }
}

impl Results {
    pub(crate) fn new(servers: Vec<Program>) -> Self {
        Self {
            servers,
            samples: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, server: usize, samples: Samples) {
        for (name, value) in samples {
            self.samples.entry((server, name)).or_default().push(value);
        }
    }

    /// The median of what one server was seen to do.
    pub(crate) fn median_of(&self, server: usize, name: &str) -> Option<f64> {
        self.samples
            .get(&(server, name.to_owned()))
            .map(|values| median(values))
    }

    /// What is said about a figure, if it was measured.
    pub(crate) fn find(&self, figure: &Figure) -> Option<Finding> {
        let servers = 0..self.servers.len();
        let values: Option<Vec<_>> = servers.map(|server| self.values(server, figure)).collect();
        let values = values?;
        let medians: Vec<f64> = values.iter().map(|values| median(values)).collect();
        let (measure, must, aim) = match figure.goal {
            Goal::Told => (None, 0.0, 0.0),
            Goal::Alone { must, aim } => (Some(Measure::of(&values[0])), must, aim),
            Goal::First { must, aim } if figure.source != Source::Samples => {
                (ratio_of_medians(&values, &medians), must, aim)
            }
            Goal::First { must, aim } => (Some(ratios(&values, |peers| peers[0])), must, aim),
            Goal::Best { must, aim } => {
                let best = |peers: &[f64]| figure.better.best(peers);
                (Some(ratios(&values, best)), must, aim)
            }
        };
        let verdict = match (figure.goal, measure) {
            (Goal::Told, _) => Verdict::Told,
            (_, Some(measure)) => figure.better.judge(measure.median, must, aim),
            // What the peer has for nothing must cost us nothing.
            (_, None) => figure.better.judge(medians[0], NOTHING, NOTHING),
        };
        Some(Finding {
            medians,
            measure,
            verdict,
        })
    }

    fn values(&self, server: usize, figure: &Figure) -> Option<Vec<f64>> {
        let samples = |name: &String| self.samples.get(&(server, name.clone()));
        match &figure.source {
            Source::Samples => samples(&figure.name).cloned(),
            Source::Difference { of, less } => {
                let pairs = samples(of)?.iter().zip(samples(less)?);
                Some(pairs.map(|(of, less)| of - less).collect())
            }
        }
    }
}

impl Better {
    fn best(self, values: &[f64]) -> f64 {
        let values = values.iter().copied();
        match self {
            Self::More => values.fold(f64::NEG_INFINITY, f64::max),
            Self::Less => values.fold(f64::INFINITY, f64::min),
        }
    }

    fn judge(self, value: f64, must: f64, aim: f64) -> Verdict {
        // Judged as it is shown, in two decimals.
        let value = (value * 100.0).round() / 100.0;
        let reaches = |goal: f64| match self {
            Self::More => value >= goal,
            Self::Less => value <= goal,
        };
        if reaches(aim) {
            Verdict::Reached
        } else if reaches(must) {
            Verdict::Met
        } else {
            Verdict::Missed
        }
    }
}

impl Measure {
    fn of(values: &[f64]) -> Self {
        Self {
            median: median(values),
            least: Better::Less.best(values),
            most: Better::More.best(values),
        }
    }
}

/// Ours over that of a peer, round by round.
fn ratios(values: &[Vec<f64>], peer: impl Fn(&[f64]) -> f64) -> Measure {
    let ratio = |round: usize| {
        let peers: Vec<f64> = values[1..].iter().map(|values| values[round]).collect();
        values[0][round] / peer(&peers)
    };
    let ratios: Vec<f64> = (0..values[0].len()).map(ratio).collect();
    Measure::of(&ratios)
}

fn ratio_of_medians(values: &[Vec<f64>], medians: &[f64]) -> Option<Measure> {
    let peer = medians[1];
    let ours = Measure::of(&values[0]);
    (peer > NOTHING).then(|| Measure {
        median: ours.median / peer,
        least: ours.least / peer,
        most: ours.most / peer,
    })
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}
