//! The diagram as SVG, for the explorer: arrows run from the row that sends to the row that reads.
//!
//! It brings its own background and colours for light and dark, so that it can be read on any page. Units are
//! pixels.

use super::{Fate, Message, Place, Row, drawn};
use crate::narrate::Moment;
use crate::rules::Setting;
use crate::world::NodeId;
use std::fmt::Write;

const FIRST_X: usize = 270;
const SPAN: usize = 340;
const NARROW_SPAN: usize = 280;
const SIDE_WIDTH: usize = 320;
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

/// Where the lifelines stand.
#[derive(Clone, Copy)]
struct Columns {
    nodes: usize,
}

impl Columns {
    const fn at(self, node: NodeId) -> usize {
        let span = if self.nodes > 2 { NARROW_SPAN } else { SPAN };
        FIRST_X + node as usize * span
    }

    fn all(self) -> impl Iterator<Item = (NodeId, usize)> {
        let nodes = NodeId::ALL.into_iter().take(self.nodes);
        nodes.map(move |node| (node, self.at(node)))
    }

    fn side(self) -> usize {
        self.all().last().map_or(FIRST_X, |(_, x)| x) + 55
    }

    fn width(self) -> usize {
        self.side() + SIDE_WIDTH
    }
}

/// Draws a story as SVG.
pub fn svg(story: &[Moment], setting: &Setting) -> String {
    let (rows, messages) = drawn(story, setting);
    let columns = Columns {
        nodes: rows.first().map_or(2, |row| row.side.labels.len()),
    };
    let (width, height) = (columns.width(), TOP + ROW_HEIGHT * (rows.len() + 1));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\"><style>{STYLE}</style>\
         <rect class=\"ps-back\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>"
    );
    draw_lifelines(&mut out, columns, height);
    for arrow in arrows(&messages) {
        draw_arrow(&mut out, columns, &arrow, rows.len());
    }
    for (number, row) in rows.iter().enumerate() {
        draw_row(&mut out, columns, number, row);
    }
    out.push_str("</svg>");
    out
}

fn draw_lifelines(out: &mut String, columns: Columns, height: usize) {
    let mut names = Vec::new();
    for (node, x) in columns.all() {
        names.push(node.name());
        words(out, x, 20, "middle", "ps-text", node.name());
        let _ = write!(
            out,
            "<line class=\"ps-life\" x1=\"{x}\" y1=\"28\" x2=\"{x}\" y2=\"{}\"/>",
            height - 8
        );
    }
    let heading = format!("{} · backlog", names.join(" · "));
    words(out, columns.side(), 20, "start", "ps-text ps-dim", &heading);
}

fn draw_row(out: &mut String, columns: Columns, number: usize, row: &Row) {
    let y = y_of(number);
    let label = format!("{}  {}", number + 1, row.step);
    words(out, 10, y + 4, "start", "ps-text", &label);
    let side = format!("{} · {}", row.side.labels.join(" · "), row.side.windows);
    words(out, columns.side(), y + 4, "start", "ps-text ps-dim", &side);
    let Some(note) = &row.note else {
        return;
    };
    let class = "ps-text ps-dim ps-halo";
    match row.place {
        Place::At(NodeId::Primary) => {
            words(
                out,
                columns.at(NodeId::Primary) + 10,
                y + 4,
                "start",
                class,
                note,
            );
        }
        Place::At(other) => words(out, columns.at(other) - 10, y + 4, "end", class, note),
        Place::Between(one, other) => {
            let (left, right) = (columns.at(one.min(other)), columns.at(one.max(other)));
            let _ = write!(
                out,
                "<line class=\"ps-cut\" x1=\"{left}\" y1=\"{y}\" x2=\"{right}\" y2=\"{y}\"/>"
            );
            // Above the line, which would cross the words out.
            words(out, right - 10, y - 4, "end", class, note);
        }
    }
}

/// One line: a message, or several that were sent together and shared their fate.
struct Arrow {
    words: String,
    from: NodeId,
    to: NodeId,
    sent: usize,
    fate: Fate,
}

/// The lines to draw: no two begin and end at the same places.
fn arrows(messages: &[Message]) -> Vec<Arrow> {
    let mut arrows: Vec<Arrow> = Vec::new();
    for message in messages {
        let same = arrows.iter_mut().find(|arrow| {
            (arrow.sent, arrow.from, arrow.to, arrow.fate)
                == (message.sent, message.from, message.to, message.fate)
        });
        match same {
            Some(arrow) => arrow.words = format!("{}, {}", arrow.words, message.words),
            None => arrows.push(Arrow {
                words: message.words.clone(),
                from: message.from,
                to: message.to,
                sent: message.sent,
                fate: message.fate,
            }),
        }
    }
    arrows
}

/// A line from where it was sent to where it ended, its words beside it, nearer to the end.
fn draw_arrow(out: &mut String, columns: Columns, arrow: &Arrow, rows: usize) {
    let (from_x, to_x) = (columns.at(arrow.from), columns.at(arrow.to));
    let middle = usize::midpoint(from_x, to_x);
    let rightwards = from_x < to_x;
    let (class, end_x, end_row, sign) = match arrow.fate {
        Fate::Received(row) if rightwards => ("ps-down", to_x, row, ""),
        Fate::Received(row) => ("ps-up", to_x, row, ""),
        Fate::Lost(row) => ("ps-lost", middle, row, "✗ "),
        Fate::Overtaken => ("ps-rest", middle, arrow.sent + 1, "overtaken: "),
        Fate::OnItsWay => ("ps-rest", middle, rows, "on its way: "),
    };
    let (from_y, to_y) = (y_of(arrow.sent), y_of(end_row));
    let _ = write!(
        out,
        "<g class=\"{class}\"><circle cx=\"{from_x}\" cy=\"{from_y}\" r=\"3\"/>\
         <line x1=\"{from_x}\" y1=\"{from_y}\" x2=\"{end_x}\" y2=\"{to_y}\"/>"
    );
    if end_x == to_x {
        head(out, to_x, to_y, rightwards);
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
fn head(out: &mut String, x: usize, y: usize, rightwards: bool) {
    let back = if rightwards { x - 8 } else { x + 8 };
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
