//! A document of which a program writes a part: what stands between two marks.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// Writes that part anew, and nothing else; a document that is not there has nothing else but a title.
pub(crate) fn write_between(document: &Path, measured: &str) -> Result<()> {
    let old = match std::fs::read_to_string(document) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            format!("# Benchmarks\n\n{BEGIN}\n{END}\n")
        }
        old => old?,
    };
    let around = old.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let Some((before, after)) = around else {
        let text = format!("it has no line {BEGIN}, or none {END} behind it");
        return Err(Error::new(ErrorKind::InvalidData, text));
    };
    std::fs::write(document, format!("{before}{BEGIN}\n{measured}{END}{after}"))
}
