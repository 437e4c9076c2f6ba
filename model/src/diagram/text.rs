//! The diagram as lines of text, for terminals and test expectations.
//!
//! A dot marks where something is sent, an arrow where it is read, a cross where it is lost.

use super::{Fate, Message, Row, drawn, side_of};
use crate::narrate::Moment;
use crate::rules::Setting;
use crate::world::NodeId;
use std::fmt::Write;

/// Characters between the two lifelines.
const SPAN: usize = 44;
/// Characters for the number and the rule.
const GUTTER: usize = 34;

/// Draws a story as text.
pub fn text(story: &[Moment], setting: &Setting) -> String {
    let (rows, messages) = drawn(story, setting);
    let mut lines = format!(
        "{:GUTTER$}   primary{:gap$}replica   primary    replica   backlog\n",
        "",
        "",
        gap = SPAN - 12
    );
    for (number, row) in rows.iter().enumerate() {
        draw_row(&mut lines, number, row, &messages);
    }
    lines
}

fn draw_row(lines: &mut String, number: usize, row: &Row, messages: &[Message]) {
    let mut gutter = format!("{:<3}  {}", number + 1, row.step);
    let mut side = format!(
        "   {:<9}  {:<8}  {}",
        row.side.primary, row.side.replica, row.side.window
    );
    for span in spans(number, row, messages) {
        let line = format!("{gutter:<GUTTER$}   {span}{side}");
        let _ = writeln!(lines, "{}", line.trim_end());
        gutter.clear();
        side.clear();
    }
}

/// The drawings between the lifelines for one step: what is read, the note, what is sent, what is lost.
fn spans(number: usize, row: &Row, messages: &[Message]) -> Vec<String> {
    let read = messages
        .iter()
        .filter(|message| message.fate == Fate::Received(number))
        .map(arrow);
    let note = row.note.iter().map(|note| note_span(row, note));
    let sent = [NodeId::Primary, NodeId::Replica]
        .into_iter()
        .filter_map(|from| departure(number, from, messages));
    let lost: Vec<&str> = messages
        .iter()
        .filter(|message| message.fate == Fate::Lost(number))
        .map(|message| message.words.as_str())
        .collect();
    let lost = (!lost.is_empty()).then(|| centred(&format!("✗ lost: {}", lost.join(", ")), ' '));
    let mut spans: Vec<_> = read.chain(note).chain(sent).chain(lost).collect();
    if spans.is_empty() {
        spans.push(framed(&" ".repeat(SPAN)));
    }
    spans
}

fn arrow(message: &Message) -> String {
    let words = cut(&message.words, SPAN - 6);
    let line = format!("{:─^width$}", format!(" {words} "), width = SPAN);
    match message.from {
        NodeId::Primary => format!("│{line}▶"),
        NodeId::Replica => format!("◀{line}│"),
    }
}

fn departure(number: usize, from: NodeId, messages: &[Message]) -> Option<String> {
    let words: Vec<&str> = messages
        .iter()
        .filter(|message| message.sent == number && message.from == from)
        .map(|message| message.words.as_str())
        .collect();
    let words = cut(&words.join(", "), SPAN - 4);
    (!words.is_empty()).then(|| match from {
        NodeId::Primary => framed(&format!("{:<SPAN$}", format!("─● {words}"))),
        NodeId::Replica => framed(&format!("{:>SPAN$}", format!("{words} ●─"))),
    })
}

fn note_span(row: &Row, note: &str) -> String {
    let note = format!("({})", cut(note, SPAN - 6));
    match side_of(row.step) {
        Some(NodeId::Primary) => framed(&format!("{:<SPAN$}", format!(" {note}"))),
        Some(NodeId::Replica) => framed(&format!("{:>SPAN$}", format!("{note} "))),
        None => centred(&format!(" {note} "), '╌'),
    }
}

fn centred(words: &str, fill: char) -> String {
    let words = cut(words, SPAN);
    let blank = SPAN - words.chars().count();
    let (left, right) = (blank / 2, blank - blank / 2);
    let repeat = |count: usize| fill.to_string().repeat(count);
    framed(&format!("{}{words}{}", repeat(left), repeat(right)))
}

fn framed(span: &str) -> String {
    format!("│{span}│")
}

/// At most so many characters of it.
fn cut(words: &str, width: usize) -> String {
    if words.chars().count() <= width {
        return words.to_owned();
    }
    words.chars().take(width - 1).chain(['…']).collect()
}
