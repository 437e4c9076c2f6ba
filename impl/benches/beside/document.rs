//! What a run leaves: a table on the terminal, and `BENCHMARKS.md` with its pictures.
//!
//! The document has a part between two marks, which every complete run writes anew; what stands outside of them was
//! written by hand and is left as it is.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::arguments::Plan;
use crate::chart::{Chart, Panel, Series};
use crate::figures::{Figure, Goal, Section, sections};
use crate::machine::Machine;
use crate::marks::write_between;
use crate::results::{Finding, Results};
use crate::scenarios::data;
use crate::scenarios::throughput::{PIPELINES, REPLICAS, cost_at, rate_of};

/// The figures that were measured, with what is said about them.
fn found(results: &Results) -> Vec<(Section, Vec<Finding>)> {
    let measured = |mut section: Section| {
        let mut findings = Vec::new();
        section.figures.retain(|figure| {
            let finding = results.find(figure);
            let measured = finding.is_some();
            findings.extend(finding);
            measured
        });
        (!findings.is_empty()).then_some((section, findings))
    };
    sections().into_iter().filter_map(measured).collect()
}

/// The table for a terminal.
pub(crate) fn text(results: &Results, plan: &Plan) -> String {
    let mut out = String::new();
    let mut head = format!("{:68}", "");
    for server in &plan.servers {
        let _ = write!(head, "{:>19}", server.name);
    }
    let _ = writeln!(out, "{head}   held against the goal   must   aim");
    for (section, findings) in found(results) {
        let _ = writeln!(out, "{}", section.heading);
        for (figure, finding) in section.figures.iter().zip(&findings) {
            let _ = write!(out, "  {:66}", figure.name);
            for value in &finding.medians {
                let _ = write!(out, "{:>19}", with_unit(*value, figure));
            }
            let (must, aim) = goal(figure);
            let measure = measured(figure, finding);
            let _ = writeln!(
                out,
                "   {measure:22} {must:>6} {aim:>5}  {}",
                finding.verdict.word()
            );
        }
    }
    out
}

/// Writes the document and its pictures, if the plan wants them.
pub(crate) fn write(results: &Results, plan: &Plan, machine: &Machine) -> Result<()> {
    let Some(path) = &plan.document else {
        return Ok(());
    };
    let figures = path.parent().unwrap_or(Path::new(".")).join("figures");
    std::fs::create_dir_all(&figures).context("a folder for pictures")?;
    let mut measured = introduction(plan, machine);
    for (name, chart) in charts(results, plan) {
        let picture = figures.join(name);
        std::fs::write(&picture, chart.svg())
            .with_context(|| format!("{} cannot be written", picture.display()))?;
        let _ = writeln!(measured, "![{}](figures/{name})\n", chart.title);
    }
    measured += &tables(results, plan);
    write_between(path, &measured)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    eprintln!("written: {}", path.display());
    Ok(())
}

fn introduction(plan: &Plan, machine: &Machine) -> String {
    let names: Vec<_> = plan
        .servers
        .iter()
        .map(|server| server.name.as_str())
        .collect();
    let (least, most) = machine.others();
    let load = if plan.load_program.is_some() {
        "redis-benchmark, 50 connections"
    } else {
        "the benchmark itself, 50 connections"
    };
    let scale = if plan.scale < 1.0 {
        format!(", data sets and loads scaled by {}", plan.scale)
    } else {
        String::new()
    };
    format!(
        "Measured on {}: {}. Servers: {}. Medians of {} rounds in turn{scale}. Load: {load}. Before each round other \
         work kept the processors busy to {:.0} to {:.0} %.\n\n\
         ```console\n$ cargo bench -p psync-server --bench beside -- {}\n```\n\n\
         Ratios are made within a round, ours over the peer's; in parentheses the smallest and the largest. Throughput \
         is held against the fastest peer, everything else against {}, and figures without a peer against a number. A \
         difference of two figures has the ratio of its medians.\n\n",
        machine.date,
        machine.description,
        names.join(", "),
        plan.rounds,
        least * 100.0,
        most * 100.0,
        plan.told,
        names[1],
    )
}

fn tables(results: &Results, plan: &Plan) -> String {
    let mut out = String::new();
    for (section, findings) in found(results) {
        let _ = write!(out, "## {}\n\n| figure |", section.heading);
        for server in &plan.servers {
            let _ = write!(out, " {} |", server.name);
        }
        let _ = writeln!(out, " held against the goal | must | aim | |");
        let _ = writeln!(
            out,
            "|---|{}---|---|---|---|",
            "---:|".repeat(plan.servers.len())
        );
        for (figure, finding) in section.figures.iter().zip(&findings) {
            let _ = write!(out, "| {} |", figure.name);
            for value in &finding.medians {
                let _ = write!(out, " {} |", with_unit(*value, figure));
            }
            let (must, aim) = goal(figure);
            let measure = measured(figure, finding);
            let word = finding.verdict.word();
            let _ = writeln!(out, " {measure} | {must} | {aim} | {word} |");
        }
        out.push('\n');
    }
    out
}

fn with_unit(value: f64, figure: &Figure) -> String {
    format!("{} {}", number(value), figure.unit)
}

/// Three digits, or all before the point.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn goal(figure: &Figure) -> (String, String) {
    match figure.goal {
        Goal::First { must, aim } | Goal::Best { must, aim } => (must.to_string(), aim.to_string()),
        Goal::Alone { must, aim } => (must.to_string(), aim.to_string()),
        Goal::Told => (String::new(), String::new()),
    }
}

fn measured(figure: &Figure, finding: &Finding) -> String {
    match finding.measure {
        Some(measure) => format!(
            "{} ({}–{})",
            number(measure.median),
            number(measure.least),
            number(measure.most)
        ),
        None if figure.goal == Goal::Told => String::new(),
        None => "the peer: nothing".to_owned(),
    }
}

/// The pictures that the samples are enough for, by file name.
fn charts(results: &Results, plan: &Plan) -> Vec<(&'static str, Chart)> {
    let pipelines = || PIPELINES.map(|(pipeline, _)| pipeline);
    let replicas = |count: usize| ["no replica", "one replica", "two replicas"][count].to_owned();
    let by_pipeline = |command: &str, count: usize| Panel {
        title: format!("{command}, {}", replicas(count)),
        marks: pipelines().map(|pipeline| pipeline.to_string()).to_vec(),
        series: series(results, plan, &pipelines(), |pipeline| {
            rate_of(command, *pipeline, count)
        }),
    };
    let by_replicas = |pipeline: u64| Panel {
        title: format!("pipeline {pipeline}"),
        marks: (0..=REPLICAS).map(|count| count.to_string()).collect(),
        series: series(results, plan, &[0, 1, 2], |count| cost_at(pipeline, *count)),
    };
    let by_size = Panel {
        title: "1 GB is a million keys of 1000 bytes".to_owned(),
        marks: data::QUARTERS.map(|q| format!("{} MB", q * 250)).to_vec(),
        series: series(results, plan, &data::QUARTERS, |q| data::point(*q)),
    };
    let rates = ["SET", "GET"].map(|command| {
        (0..=REPLICAS)
            .map(|count| by_pipeline(command, count))
            .collect::<Vec<_>>()
    });
    let chart = |title: &str, axis: &str, panels| Chart {
        title: title.to_owned(),
        axis: axis.to_owned(),
        panels,
    };
    let charts = [
        (
            "throughput.svg",
            chart(
                "Thousand commands per second, by pipeline",
                "pipeline",
                rates.concat(),
            ),
        ),
        (
            "cost.svg",
            chart(
                "Microseconds of the primary's processor for each SET, by replicas",
                "replicas",
                pipelines().map(by_replicas).to_vec(),
            ),
        ),
        (
            "resynchronization.svg",
            chart(
                "Seconds of a full resynchronization, diskless at both ends, by size",
                "size",
                vec![by_size],
            ),
        ),
    ];
    let mut charts = charts.to_vec();
    charts.retain(|(_, chart)| chart.panels.iter().all(|panel| !panel.series.is_empty()));
    charts
}

fn series<T>(
    results: &Results,
    plan: &Plan,
    points: &[T],
    name: impl Fn(&T) -> String,
) -> Vec<Series> {
    let of = |(number, server): (usize, &crate::arguments::Program)| {
        let values = points
            .iter()
            .map(|point| results.median_of(number, &name(point)));
        Some(Series {
            name: server.name.clone(),
            values: values.collect::<Option<_>>()?,
        })
    };
    plan.servers.iter().enumerate().filter_map(of).collect()
}
