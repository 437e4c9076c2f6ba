//! The diagram as SVG, for the explorer: arrows run from the row that sends to the row that reads.
//!
//! It brings its own background and colours for light and dark, so that it can be read on any page. Units are
//! pixels.

use super::{Fate, Message, Row, drawn, side_of};
use crate::narrate::Moment;
use crate::rules::Setting;
use crate::world::NodeId;
use std::fmt::Write;

const PRIMARY_X: usize = 270;
const REPLICA_X: usize = 610;
const SIDE_X: usize = 665;
const WIDTH: usize = 930;
const TOP: usize = 48;
const ROW_HEIGHT: usize = 36;

/// The colours, in both lights.
const STYLE: &str = "\
.ps-back{fill:#fdfdfb}.ps-text{fill:#222;font:12px ui-monospace,monospace}.ps-dim{fill:#777}\
.ps-life{stroke:#999;stroke-dasharray:2 3}.ps-down{stroke:#1f6feb;fill:#1f6feb}.ps-up{stroke:#9a6700;fill:#9a6700}\
.ps-lost{stroke:#cf222e;fill:#cf222e}.ps-rest{stroke:#999;fill:#777}.ps-words{stroke:none}.ps-cut{stroke:#cf222e}\
.ps-halo{paint-order:stroke;stroke:#fdfdfb;stroke-width:4px}\
@media(prefers-color-scheme:dark){.ps-back{fill:#16181d}.ps-text{fill:#ddd}.ps-dim{fill:#999}\
.ps-down{stroke:#79b8ff;fill:#79b8ff}.ps-up{stroke:#e3b341;fill:#e3b341}.ps-lost{stroke:#ff7b72;fill:#ff7b72}\
.ps-halo{stroke:#16181d}}";

/// Draws a story as SVG.
pub fn svg(story: &[Moment], setting: &Setting) -> String {
    let (rows, messages) = drawn(story, setting);
    let height = TOP + ROW_HEIGHT * (rows.len() + 1);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\"><style>{STYLE}</style>\
         <rect class=\"ps-back\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>"
    );
    draw_lifelines(&mut out, height);
    for arrow in arrows(&messages) {
        draw_arrow(&mut out, &arrow, rows.len());
    }
    for (number, row) in rows.iter().enumerate() {
        draw_row(&mut out, number, row);
    }
    out.push_str("</svg>");
    out
}

fn draw_lifelines(out: &mut String, height: usize) {
    for (x, name) in [(PRIMARY_X, "primary"), (REPLICA_X, "replica")] {
        words(out, x, 20, "middle", "ps-text", name);
        let _ = write!(
            out,
            "<line class=\"ps-life\" x1=\"{x}\" y1=\"28\" x2=\"{x}\" y2=\"{}\"/>",
            height - 8
        );
    }
    words(
        out,
        SIDE_X,
        20,
        "start",
        "ps-text ps-dim",
        "primary · replica · backlog",
    );
}

fn draw_row(out: &mut String, number: usize, row: &Row) {
    let y = y_of(number);
    let label = format!("{}  {}", number + 1, row.step);
    words(out, 10, y + 4, "start", "ps-text", &label);
    let side = &row.side;
    let side = format!("{} · {} · {}", side.primary, side.replica, side.window);
    words(out, SIDE_X, y + 4, "start", "ps-text ps-dim", &side);
    let Some(note) = &row.note else {
        return;
    };
    let class = "ps-text ps-dim ps-halo";
    match side_of(row.step) {
        Some(NodeId::Primary) => words(out, PRIMARY_X + 10, y + 4, "start", class, note),
        Some(NodeId::Replica) => words(out, REPLICA_X - 10, y + 4, "end", class, note),
        None => {
            let _ = write!(
                out,
                "<line class=\"ps-cut\" x1=\"{PRIMARY_X}\" y1=\"{y}\" x2=\"{REPLICA_X}\" y2=\"{y}\"/>"
            );
            words(out, REPLICA_X - 10, y + 4, "end", class, note);
        }
    }
}

/// One line: a message, or several that were sent together and shared their fate.
struct Arrow {
    words: String,
    from: NodeId,
    sent: usize,
    fate: Fate,
}

/// The lines to draw: no two begin and end at the same places.
fn arrows(messages: &[Message]) -> Vec<Arrow> {
    let mut arrows: Vec<Arrow> = Vec::new();
    for message in messages {
        let same = arrows.iter_mut().find(|arrow| {
            (arrow.sent, arrow.from, arrow.fate) == (message.sent, message.from, message.fate)
        });
        match same {
            Some(arrow) => arrow.words = format!("{}, {}", arrow.words, message.words),
            None => arrows.push(Arrow {
                words: message.words.clone(),
                from: message.from,
                sent: message.sent,
                fate: message.fate,
            }),
        }
    }
    arrows
}

/// A line from where it was sent to where it ended, its words beside it, nearer to the end.
fn draw_arrow(out: &mut String, arrow: &Arrow, rows: usize) {
    let (from_x, to_x) = match arrow.from {
        NodeId::Primary => (PRIMARY_X, REPLICA_X),
        NodeId::Replica => (REPLICA_X, PRIMARY_X),
    };
    let middle = usize::midpoint(from_x, to_x);
    let (class, end_x, end_row, sign) = match (arrow.fate, arrow.from) {
        (Fate::Received(row), NodeId::Primary) => ("ps-down", to_x, row, ""),
        (Fate::Received(row), NodeId::Replica) => ("ps-up", to_x, row, ""),
        (Fate::Lost(row), _) => ("ps-lost", middle, row, "✗ "),
        (Fate::Overtaken, _) => ("ps-rest", middle, arrow.sent + 1, "overtaken: "),
        (Fate::OnItsWay, _) => ("ps-rest", middle, rows, "on its way: "),
    };
    let (from_y, to_y) = (y_of(arrow.sent), y_of(end_row));
    let _ = write!(
        out,
        "<g class=\"{class}\"><circle cx=\"{from_x}\" cy=\"{from_y}\" r=\"3\"/>\
         <line x1=\"{from_x}\" y1=\"{from_y}\" x2=\"{end_x}\" y2=\"{to_y}\"/>"
    );
    if end_x == to_x {
        head(out, to_x, to_y, arrow.from);
    }
    out.push_str("</g>");
    let text = format!("{sign}{}", arrow.words);
    // What has not arrived has the row below the last step to itself.
    let (x, y) = if arrow.fate == Fate::OnItsWay {
        (end_x, to_y + 5)
    } else {
        (
            most_of_the_way(from_x, end_x),
            most_of_the_way(from_y, to_y),
        )
    };
    let class = format!("ps-text {class} ps-words ps-halo");
    words(out, x, y - 5, "middle", &class, &text);
}

/// The place at seven tenths of the way.
const fn most_of_the_way(from: usize, to: usize) -> usize {
    (3 * from + 7 * to) / 10
}

/// The head of an arrow.
fn head(out: &mut String, x: usize, y: usize, from: NodeId) {
    let back = match from {
        NodeId::Primary => x - 8,
        NodeId::Replica => x + 8,
    };
    let (above, below) = (y - 4, y + 4);
    let _ = write!(out, "<path d=\"M{x} {y}L{back} {above}L{back} {below}Z\"/>");
}

fn words(out: &mut String, x: usize, y: usize, anchor: &str, class: &str, words: &str) {
    let words = escaped(words);
    let _ = write!(
        out,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}

/// The same words where the three special characters of XML mean themselves.
fn escaped(words: &str) -> String {
    words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

const fn y_of(row: usize) -> usize {
    TOP + ROW_HEIGHT * row
}
