//! The state graph of a small scope in the language of Graphviz: `dot -Tsvg` draws it.
//!
//! A world shows what tells it from its neighbours in a few words, and every field of it when the pointer rests
//! on it. Worlds are canonical, so that names and offsets are renumbered from one to the next. An arrow is dashed
//! where the environment brings the step about; a world in which a property is broken is red.

use crate::graph::{Graph, WorldIndex};
use crate::narrate::{fields, words};
use crate::property::Property;
use crate::rules::Setting;
use crate::search::Search;
use crate::step::{Part, Step};
use crate::token::Database;
use crate::world::{NodeId, Wire, World};
use std::fmt::Write;

const HEAD: &str = "    \
node [shape=box fontname=\"monospace\" fontsize=9 style=filled fillcolor=\"#fdfdfb\"];
    edge [fontname=\"monospace\" fontsize=8];
";

/// Writes the graph down, under a title.
pub fn dot(search: &Search, graph: &Graph, title: &str) -> String {
    let mut out = format!(
        "digraph psync {{\n    label=\"{}\";\n{HEAD}",
        escaped(title)
    );
    for (index, world) in graph.worlds.iter().enumerate() {
        let (label, all) = (summary(world, &search.setting), tooltip(world, search));
        let look = look(index, world);
        let (label, all) = (lines(&label), escaped(&all).replace('\n', "\\n"));
        let _ = writeln!(
            out,
            "    w{index} [label=\"{label}\" tooltip=\"{all}\"{look}];"
        );
    }
    for from in 0..graph.worlds.len() as WorldIndex {
        for arrow in graph.arrows_from(from) {
            let step = search.steps[usize::from(arrow.step)];
            let (to, words) = (arrow.to, step_words(step, search));
            let style = match step.part() {
                Part::Environment => " style=dashed color=\"#777777\"",
                Part::Primary => " color=\"#1f6feb\"",
                Part::Replica => " color=\"#9a6700\"",
            };
            let _ = writeln!(out, "    w{from} -> w{to} [label=\"{words}\"{style}];");
        }
    }
    out.push_str("}\n");
    out
}

/// The beginning has a second frame, a broken world another colour.
const fn look(index: usize, world: &World) -> &'static str {
    match (index, world.broken) {
        (_, 1..) => " fillcolor=\"#ffb3ba\"",
        (0, _) => " peripheries=2",
        _ => "",
    }
}

/// The rule and its branch; among more than two nodes also whose it is.
fn step_words(step: Step, search: &Search) -> String {
    if search.scope.topology.nodes() > 2 || search.scope.roles {
        format!("{step}, {}", step.node().name())
    } else {
        step.to_string()
    }
}

/// A few words about each node and each link.
fn summary(world: &World, setting: &Setting) -> Vec<String> {
    let mut lines: Vec<String> = world
        .node_ids()
        .map(|node| node_words(world, node))
        .collect();
    let followers = world
        .node_ids()
        .filter(|&node| world.parent(node).is_some());
    lines.extend(followers.map(|replica| link_words(world, setting, replica)));
    if let Some(stranger) = world.stranger {
        lines.push(format!("stranger: {}", words::answer(stranger.answer)));
    }
    let broken: Vec<String> = Property::in_bits(world.broken)
        .map(|property| format!("{property:?}"))
        .collect();
    if !broken.is_empty() {
        lines.push(format!("BROKEN {}", broken.join(" ")));
    }
    lines
}

fn node_words(world: &World, node: NodeId) -> String {
    let own = world.node(node);
    let label = if world.is_primary(node) {
        Some(own.label())
    } else {
        own.following
    };
    let mut text = format!(
        "{}: {} {}",
        node.name(),
        words::data(own.data),
        words::label_or_none(label)
    );
    if let Some(backlog) = &own.backlog {
        let end = i64::from(backlog.first.0) + backlog.tokens.units();
        let _ = write!(text, " backlog [{}, {end})", backlog.first.0);
    }
    if let Some(snapshot) = own.snapshot {
        let _ = write!(text, ", snapshot of {}", words::label(snapshot.label));
    }
    if let Some(half) = own.begun.half {
        let _ = write!(text, ", half of {}", words::token(half));
    }
    if !own.begun.transaction.is_empty() {
        let _ = write!(
            text,
            ", not executed {}",
            words::tokens(&own.begun.transaction)
        );
    }
    if let Some(database) = own.stream_database {
        let _ = write!(text, ", stream in {}", words::database(database));
    }
    if own.selected != Database::First {
        let _ = write!(text, ", reads in {}", words::database(own.selected));
    }
    text
}

fn link_words(world: &World, setting: &Setting, replica: NodeId) -> String {
    let link = world.link(replica);
    let mut text = format!(
        "{} → parent: {} | {}",
        replica.name(),
        words::replica_phase(link.replica),
        words::primary_phase(link.primary)
    );
    if link.wire == Wire::Cut {
        text.push_str(", cut");
    }
    if link.stale.is_some() {
        text.push_str(", an older link");
    }
    let travels = [
        link.request.map(|request| words::request(setting, request)),
        link.reply.map(words::reply),
        link.payload.map(|_| "the snapshot".to_owned()),
        (!link.stream.tokens.is_empty()).then(|| words::stream(&link.stream)),
        link.acknowledgement
            .map(|offset| format!("ACK {}", offset.0)),
    ];
    for what in travels.into_iter().flatten() {
        let _ = write!(text, "; {what}");
    }
    text
}

/// Every field that holds something.
fn tooltip(world: &World, search: &Search) -> String {
    fields::table(world, world, &search.setting)
}

/// Lines that begin at the left.
fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| escaped(line) + "\\l").collect()
}

/// The same words where quotes and backslashes mean themselves.
fn escaped(words: &str) -> String {
    words.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault;
    use crate::rulebook::Era;
    use crate::scope;

    fn smoke() -> Search {
        let scope = scope::named("smoke").unwrap().scope;
        Search::new(Era::Sync.rulebook(), scope)
    }

    #[test]
    fn every_world_and_every_edge_is_drawn_once() {
        let search = smoke();
        let graph = Graph::explore(&search, usize::MAX);
        let text = dot(&search, &graph, "smoke");
        let arrows = text.lines().filter(|line| line.contains(" -> ")).count();
        let worlds = text
            .lines()
            .filter(|line| line.contains("tooltip="))
            .count();
        assert_eq!((worlds, arrows), (graph.worlds.len(), graph.edges()));
    }

    #[test]
    fn a_broken_world_says_what_is_broken() {
        let scope = scope::named("smoke").unwrap().scope;
        let fault = fault::named("request-not-plus-one").unwrap();
        let search = Search::new(fault.in_era(Era::Psync2V7).unwrap(), scope);
        let text = dot(&search, &Graph::explore(&search, usize::MAX), "broken");
        let broken = text.lines().find(|line| line.contains("BROKEN S3"));
        assert!(broken.unwrap().contains("fillcolor"));
    }

    #[test]
    fn a_quote_in_a_title_does_not_end_it() {
        let search = smoke();
        let text = dot(&search, &Graph::explore(&search, 2), "the \"small\" one");
        assert!(text.contains("label=\"the \\\"small\\\" one\""));
    }
}
