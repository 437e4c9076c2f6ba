//! Citations resolve: a reader who follows one finds what it names, and every rule has one.
//!
//! A citation is `PROTOCOL` with a section (§3.1), an item of its numbered list (§3.7-1) or an invariant
//! (§6 S1), or `FLAWS` with a number (B-02). Further sections may follow after commas.

use psync_model::fault::FAULTS;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PROTOCOL: &str = include_str!("../PROTOCOL.md");
const FLAWS: &str = include_str!("../FLAWS.md");

/// Every Rust file of the workspace with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<PathBuf> = ["model", "impl", "conformance"]
        .iter()
        .flat_map(|package| ["src", "tests", "benches"].map(|part| root.join(package).join(part)))
        .filter(|folder| folder.is_dir())
        .collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("an entry of a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                found.push((path, text));
            }
        }
    }
    found
}

/// What can be cited in PROTOCOL: sections, numbered items, invariants.
fn citable() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let mut section = String::new();
    for line in PROTOCOL.lines() {
        let heading = line
            .trim_start_matches('#')
            .trim_start()
            .split(' ')
            .next()
            .expect("a split has a first part");
        if line.starts_with("##") && heading.starts_with(|first: char| first.is_ascii_digit()) {
            heading.trim_end_matches('.').clone_into(&mut section);
            known.insert(section.clone());
        } else if line.starts_with("### T") {
            known.insert(format!("{section} {heading}"));
        } else if let Some(invariant) = line.strip_prefix("* **") {
            let name = invariant
                .split([' ', '*'])
                .next()
                .expect("a split has a first part");
            known.insert(format!("{section} {name}"));
        } else if let Some((number, _)) = line.split_once(". ")
            && number.parse::<u8>().is_ok()
        {
            known.insert(format!("{section}-{number}"));
        }
    }
    known
}

/// The places a text cites after `PROTOCOL `, as [`citable`] writes them.
fn cited(text: &str) -> Vec<String> {
    let mut places = Vec::new();
    for mut rest in text.split("PROTOCOL §").skip(1) {
        loop {
            let end = rest
                .find(|next: char| !(next.is_ascii_digit() || next == '.' || next == '-'))
                .unwrap_or(rest.len());
            let section = rest[..end].trim_end_matches(['.', '-']);
            let after = &rest[end..];
            let name = after.trim_start_matches([' ', ',']);
            let name = &name[..name
                .find(|next: char| !next.is_ascii_alphanumeric())
                .unwrap_or(name.len())];
            let is_named = name.len() > 1
                && name.starts_with(['S', 'L', 'X', 'T'])
                && name[1..].parse::<u8>().is_ok();
            places.push(if is_named {
                format!("{section} {name}")
            } else {
                section.to_owned()
            });
            match after.strip_prefix(", §") {
                Some(more) => rest = more,
                None => break,
            }
        }
    }
    places
}

/// Comments are broken into lines anywhere; this joins them again.
fn joined(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_start();
        line.trim_start_matches('/')
            .trim_start_matches('!')
            .trim_start()
    });
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_scanner_reads_lists_items_and_invariants() {
    let text =
        "see `PROTOCOL §3.7-1`, and (PROTOCOL §2.3, §3.1). PROTOCOL §6 S10; PROTOCOL §8, T1 to T4";
    let expected = ["3.7-1", "2.3", "3.1", "6 S10", "8 T1"];
    assert_eq!(cited(text), expected);
}

#[test]
fn every_cited_section_item_and_invariant_exists() {
    let known = citable();
    for (path, text) in sources() {
        if path.ends_with("citations.rs") {
            continue;
        }
        for place in cited(&joined(&text)) {
            assert!(
                known.contains(&place),
                "{}: PROTOCOL §{place}",
                path.display()
            );
        }
    }
}

#[test]
fn every_cited_flaw_exists() {
    for (path, text) in sources() {
        for number in joined(&text).split("FLAWS ").skip(1) {
            let number: String = number.chars().take(4).collect();
            if number.starts_with("B-") || number.starts_with("F-") {
                let heading = format!("\n### {number} ");
                assert!(
                    FLAWS.contains(&heading),
                    "{}: FLAWS {number}",
                    path.display()
                );
            }
        }
    }
    for fault in FAULTS {
        assert!(
            fault.source.starts_with("FLAWS "),
            "{}: {}",
            fault.name,
            fault.source
        );
    }
}

#[test]
fn every_rule_says_where_it_comes_from() {
    for (path, text) in sources() {
        if !path.components().any(|part| part.as_os_str() == "rules") {
            continue;
        }
        let mut comment = String::new();
        let lines: Vec<&str> = text.lines().collect();
        for (place, line) in lines.iter().enumerate() {
            if line.starts_with("///") {
                comment.push_str(line);
                comment.push('\n');
            } else if line.starts_with("pub fn ") {
                let signature: String = lines[place..]
                    .iter()
                    .take_while(|line| !line.ends_with('{'))
                    .chain(lines[place..].iter().find(|line| line.ends_with('{')))
                    .copied()
                    .collect();
                let is_rule = signature.contains("-> Option<()>");
                assert!(
                    !is_rule || comment.contains("Source: `PROTOCOL §"),
                    "{}: {line}",
                    path.display()
                );
                comment.clear();
            } else if !line.starts_with('#') {
                comment.clear();
            }
        }
    }
}
