//! Line charts as SVG: panels side by side, a line for each server, every axis from zero. Lengths are in pixels.

use std::fmt::Write as _;

/// Colours that are told apart without seeing colours well, in the order of servers.
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];

const PANELS_IN_A_ROW: usize = 3;
const PANEL_WIDTH: f64 = 280.0;
const PANEL_HEIGHT: f64 = 220.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
const TITLE: f64 = 32.0;
const LEGEND_WIDTH: f64 = 180.0;
const LEGEND_HEIGHT: f64 = 22.0;

/// Lines across a panel.
const STEPS: usize = 4;

/// A picture.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// What the marks below each panel count.
    pub(crate) axis: String,
    pub(crate) panels: Vec<Panel>,
}

/// Some lines with a common scale.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) marks: Vec<String>,
    pub(crate) series: Vec<Series>,
}

/// One line: a value for each mark.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let columns = self.panels.len().min(PANELS_IN_A_ROW);
        let rows = self.panels.len().div_ceil(PANELS_IN_A_ROW);
        let width = (columns as f64 * PANEL_WIDTH).max(2.0 * PANEL_WIDTH);
        let names_in_a_row = (width / LEGEND_WIDTH) as usize;
        let names = self.panels.first().map_or(0, |panel| panel.series.len());
        let header = TITLE + names.div_ceil(names_in_a_row) as f64 * LEGEND_HEIGHT;
        let height = header + rows as f64 * PANEL_HEIGHT;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        put_text(&mut out, (LEFT / 2.0, 20.0), "start", "bold", &self.title);
        self.put_legend(&mut out, names_in_a_row);
        for (number, panel) in self.panels.iter().enumerate() {
            let x = (number % PANELS_IN_A_ROW) as f64 * PANEL_WIDTH;
            let y = header + (number / PANELS_IN_A_ROW) as f64 * PANEL_HEIGHT;
            let _ = writeln!(out, "<g transform=\"translate({x} {y})\">");
            panel.put(&mut out, &self.axis);
            out.push_str("</g>\n");
        }
        out.push_str("</svg>\n");
        out
    }

    fn put_legend(&self, out: &mut String, names_in_a_row: usize) {
        let series = self.panels.first().map_or(&[][..], |panel| &panel.series);
        for (number, line) in series.iter().enumerate() {
            let x = LEFT / 2.0 + (number % names_in_a_row) as f64 * LEGEND_WIDTH;
            let y = TITLE + (number / names_in_a_row) as f64 * LEGEND_HEIGHT;
            let colour = COLOURS[number % COLOURS.len()];
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"14\" height=\"10\" fill=\"{colour}\"/>"
            );
            put_text(out, (x + 20.0, y + 9.0), "start", "normal", &line.name);
        }
    }
}

impl Panel {
    fn put(&self, out: &mut String, axis: &str) {
        let values = self.series.iter().flat_map(|line| &line.values);
        let top = round_up(values.copied().fold(0.0, f64::max));
        let bottom = PANEL_HEIGHT - BOTTOM;
        let height = |value: f64| bottom - value / top * (bottom - TOP);
        let room = PANEL_WIDTH - LEFT - RIGHT;
        let place = |mark: usize| LEFT + room * (mark as f64 + 0.5) / self.marks.len() as f64;
        put_text(out, (LEFT, TOP - 12.0), "start", "normal", &self.title);
        for step in 0..=STEPS {
            let value = top * step as f64 / STEPS as f64;
            let (y, end) = (height(value), PANEL_WIDTH - RIGHT);
            let _ = writeln!(
                out,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{end}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>"
            );
            let label = format!("{}", (value * 1e6).round() / 1e6);
            put_text(out, (LEFT - 6.0, y + 4.0), "end", "normal", &label);
        }
        for (mark, label) in self.marks.iter().enumerate() {
            put_text(out, (place(mark), bottom + 16.0), "middle", "normal", label);
        }
        let middle = LEFT + room / 2.0;
        put_text(out, (middle, bottom + 32.0), "middle", "normal", axis);
        for (number, line) in self.series.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let points = line.values.iter().enumerate();
            let points: Vec<_> = points
                .map(|(mark, value)| (place(mark), height(*value)))
                .collect();
            let path: Vec<_> = points
                .iter()
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join(" ")
            );
            for (x, y) in points {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
                );
            }
        }
    }
}

/// The next number that is easy to divide by four: 1, 2, 4, 6, 8 or 10 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value);
    step.unwrap_or(10.0) * power
}

fn put_text(out: &mut String, (x, y): (f64, f64), anchor: &str, weight: &str, text: &str) {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-weight=\"{weight}\">{text}</text>"
    );
}
