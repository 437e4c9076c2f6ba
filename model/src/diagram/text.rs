//! The diagram as lines of text, for terminals and test expectations.
//!
//! A dot marks where something is sent, an arrow where it is read, a cross where it is lost.

use super::{Fate, Message, Place, Row, drawn};
use crate::narrate::Moment;
use crate::rules::Setting;
use crate::world::NodeId;
use std::fmt::Write;

/// Characters between two lifelines of a pair.
const SPAN: usize = 44;
/// Characters between neighbouring lifelines where there are more.
const NARROW_SPAN: usize = 34;
/// Characters for the number and the rule.
const GUTTER: usize = 34;

/// Where the lifelines stand.
#[derive(Clone, Copy)]
struct Columns {
    nodes: usize,
    span: usize,
}

impl Columns {
    const fn of(nodes: usize) -> Self {
        let span = if nodes > 2 { NARROW_SPAN } else { SPAN };
        Self { nodes, span }
    }

    const fn at(self, node: NodeId) -> usize {
        node as usize * (self.span + 1)
    }

    const fn width(self) -> usize {
        (self.nodes - 1) * (self.span + 1) + 1
    }

    /// A line with nothing but the lifelines.
    fn blank(self) -> Vec<char> {
        let mut line = vec![' '; self.width()];
        for node in NodeId::ALL.into_iter().take(self.nodes) {
            line[self.at(node)] = '│';
        }
        line
    }
}

/// Draws a story as text.
pub fn text(story: &[Moment], setting: &Setting) -> String {
    let (rows, messages) = drawn(story, setting);
    let columns = Columns::of(rows.first().map_or(2, |row| row.side.labels.len()));
    let mut heading = format!("{:GUTTER$}   ", "");
    for node in NodeId::ALL.into_iter().take(columns.nodes) {
        let end = GUTTER + 3 + columns.at(node);
        let name = node.name();
        // The last name ends at its line, so that the columns beside begin where they should.
        let begin = if node as usize + 1 == columns.nodes {
            end + 1 - name.len()
        } else {
            end
        };
        let _ = write!(heading, "{:1$}{name}", "", begin - heading.chars().count());
    }
    let mut lines = heading;
    for node in NodeId::ALL.into_iter().take(columns.nodes) {
        let width = if node == NodeId::Primary { 9 } else { 8 };
        let _ = write!(lines, "  {:width$}", format!(" {}", short(node)).trim_end());
    }
    lines.push_str("   backlog\n");
    for (number, row) in rows.iter().enumerate() {
        draw_row(&mut lines, columns, number, row, &messages);
    }
    lines
}

const fn short(node: NodeId) -> &'static str {
    match node {
        NodeId::Primary => "primary",
        NodeId::Replica => "replica",
        NodeId::Second => "second",
        NodeId::Third => "third",
    }
}

fn draw_row(lines: &mut String, columns: Columns, number: usize, row: &Row, all: &[Message]) {
    let mut gutter = format!("{:<3}  {}", number + 1, row.step);
    let mut side = String::from(" ");
    for (place, label) in row.side.labels.iter().enumerate() {
        let width = if place == 0 { 9 } else { 8 };
        let _ = write!(side, "  {label:<width$}");
    }
    let _ = write!(side, "  {}", row.side.windows);
    for span in spans(columns, number, row, all) {
        let line = format!("{gutter:<GUTTER$}   {span}{side}");
        let _ = writeln!(lines, "{}", line.trim_end());
        gutter.clear();
        side.clear();
    }
}

/// The drawings between the lifelines for one step: what is read, the note, what is sent, what is lost.
fn spans(columns: Columns, number: usize, row: &Row, messages: &[Message]) -> Vec<String> {
    let with_fate = |fate: Fate| messages.iter().filter(move |message| message.fate == fate);
    let read = with_fate(Fate::Received(number)).map(|message| arrow(columns, message));
    let note = row.note.iter().map(|note| note_line(columns, row, note));
    let mut sent: Vec<String> = Vec::new();
    for from in NodeId::ALL {
        for to in NodeId::ALL {
            sent.extend(departure(columns, number, (from, to), messages));
        }
    }
    let mut lost: Vec<String> = Vec::new();
    for from in NodeId::ALL {
        for to in NodeId::ALL.into_iter().take_while(|&to| to != from) {
            lost.extend(loss(columns, (to, from), with_fate(Fate::Lost(number))));
        }
    }
    let mut spans: Vec<_> = read.chain(note).chain(sent).chain(lost).collect();
    if spans.is_empty() {
        spans.push(columns.blank().into_iter().collect());
    }
    spans
}

/// A line from one lifeline to another, with words on it.
fn arrow(columns: Columns, message: &Message) -> String {
    let (from, to) = (columns.at(message.from), columns.at(message.to));
    let (left, right) = (from.min(to), from.max(to));
    let width = right - left - 1;
    let words = format!(" {} ", cut(&message.words, width.saturating_sub(4)));
    let mut line = columns.blank();
    put(&mut line, left + 1, &format!("{words:─^width$}"));
    line[to] = if from < to { '▶' } else { '◀' };
    line.into_iter().collect()
}

/// What a node sends to another in one step, beside its lifeline.
fn departure(
    columns: Columns,
    number: usize,
    (from, to): (NodeId, NodeId),
    messages: &[Message],
) -> Option<String> {
    let words: Vec<&str> = messages
        .iter()
        .filter(|message| message.sent == number && (message.from, message.to) == (from, to))
        .map(|message| message.words.as_str())
        .collect();
    if words.is_empty() {
        return None;
    }
    let words = cut(&words.join(", "), columns.span - 4);
    Some(if from < to {
        beside(columns, from, Beside::Right, &format!("─● {words}"))
    } else {
        beside(columns, from, Beside::Left, &format!("{words} ●─"))
    })
}

/// What was lost between two nodes.
fn loss<'a>(
    columns: Columns,
    (one, other): (NodeId, NodeId),
    lost: impl Iterator<Item = &'a Message>,
) -> Option<String> {
    let between = |message: &&Message| {
        (message.from.min(message.to), message.from.max(message.to)) == (one, other)
    };
    let words: Vec<&str> = lost
        .filter(between)
        .map(|message| message.words.as_str())
        .collect();
    (!words.is_empty()).then(|| {
        centred(
            columns,
            (one, other),
            &format!("✗ lost: {}", words.join(", ")),
            ' ',
        )
    })
}

/// On which side of a lifeline words stand.
#[derive(Clone, Copy)]
enum Beside {
    Left,
    Right,
}

fn note_line(columns: Columns, row: &Row, note: &str) -> String {
    let note = format!("({})", cut(note, columns.span - 6));
    match row.place {
        Place::At(NodeId::Primary) => {
            beside(columns, NodeId::Primary, Beside::Right, &format!(" {note}"))
        }
        Place::At(other) => beside(columns, other, Beside::Left, &format!("{note} ")),
        Place::Between(one, other) => {
            let ends = (one.min(other), one.max(other));
            centred(columns, ends, &format!(" {note} "), '╌')
        }
    }
}

fn beside(columns: Columns, node: NodeId, side: Beside, words: &str) -> String {
    let at = columns.at(node);
    let mut line = columns.blank();
    match side {
        Beside::Right => put(&mut line, at + 1, words),
        Beside::Left => put(&mut line, at - words.chars().count(), words),
    }
    line.into_iter().collect()
}

fn centred(columns: Columns, (left, right): (NodeId, NodeId), words: &str, fill: char) -> String {
    let (left, right) = (columns.at(left), columns.at(right));
    let width = right - left - 1;
    let words = cut(words, width);
    let blank = width - words.chars().count();
    let (before, after) = (blank / 2, blank - blank / 2);
    let repeat = |count: usize| fill.to_string().repeat(count);
    let mut line = columns.blank();
    let drawn = format!("{}{words}{}", repeat(before), repeat(after));
    put(&mut line, left + 1, &drawn);
    line.into_iter().collect()
}

fn put(line: &mut [char], begin: usize, words: &str) {
    for (place, letter) in line.iter_mut().skip(begin).zip(words.chars()) {
        *place = letter;
    }
}

/// At most so many characters of it.
fn cut(words: &str, width: usize) -> String {
    if words.chars().count() <= width {
        return words.to_owned();
    }
    words
        .chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}
