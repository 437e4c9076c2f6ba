//! What the specification says about itself: the comments beside its rules, properties and entries, and the
//! passages of `PROTOCOL.md` and `FLAWS.md` they cite.
//!
//! Every sentence is written once, where it belongs; here it is only found again, in the text of the sources
//! that were compiled. Nothing is understood of Rust but the shape in which this repository writes it, and a test
//! finds every rule, property and fault.

use crate::fault::{self, Fault};
use crate::property::Property;
use crate::rulebook::{Era, Rulebook};
use crate::step::Step;
use crate::world::Topology;
use std::collections::BTreeSet;

/// A source file: its path in the repository, and its text.
struct File {
    path: &'static str,
    text: &'static str,
}

/// Names a source file beside this one.
macro_rules! file {
    ($path:literal) => {
        File {
            path: concat!("model/src/", $path),
            text: include_str!($path),
        }
    };
}

const RULES: &[File] = &[
    file!("rules/environment.rs"),
    file!("rules/primary.rs"),
    file!("rules/process.rs"),
    file!("rules/replica.rs"),
    file!("rules/roles.rs"),
    file!("rules/snapshot.rs"),
    file!("rules/stranger.rs"),
    file!("rules/stream.rs"),
    file!("decision.rs"),
    file!("world.rs"),
];

const PROPERTIES: &[File] = &[
    file!("property/answers.rs"),
    file!("property/labels.rs"),
    file!("property/links.rs"),
];

const LIVENESS: File = file!("liveness.rs");
const RULEBOOK: File = file!("rulebook.rs");
const FAULTS: File = file!("fault.rs");
const SCOPE: File = file!("scope.rs");

const PROTOCOL: &str = include_str!("../PROTOCOL.md");
const FLAWS: &str = include_str!("../FLAWS.md");

/// What stands beside an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The comment, in paragraphs of one line each.
    pub prose: Vec<String>,
    /// What the comment gives as its source: sections and functions of servers.
    pub source: Option<String>,
    /// Where the item stands: `model/src/rules/primary.rs:34`.
    pub place: String,
}

/// An entry of the rulebook and what a fault makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The field of [`Rulebook`].
    pub field: String,
    /// The question it answers, with its section.
    pub question: String,
    /// The right answer: its name and what it means.
    pub right: (String, String),
    /// The wrong one.
    pub wrong: (String, String),
    /// Where the entry is declared.
    pub place: String,
    /// Where it is read.
    pub read_at: Vec<String>,
}

/// The names of all rules, in alphabetical order.
pub fn rules() -> BTreeSet<&'static str> {
    let steps = Step::among(Topology::LongChain).into_iter();
    steps.map(Step::rule_name).collect()
}

/// What stands beside the function of a rule.
pub fn of_rule(name: &str) -> Option<Passage> {
    let start = format!("pub fn {}(", name.replace('-', "_"));
    RULES.iter().find_map(|file| passage(file, &start))
}

/// The wording of a property in `PROTOCOL.md`, beside the place of the function that judges it.
pub fn of_property(property: Property) -> Option<Passage> {
    let name = format!("{property:?}");
    let mut found = match property {
        Property::L1 => passage(&LIVENESS, "pub fn converges("),
        _ => PROPERTIES.iter().find_map(|file| judge(file, &name)),
    }?;
    found.prose.insert(0, invariant(&name)?);
    found.source = Some(format!("PROTOCOL §6 {name}"));
    Some(found)
}

/// The passage of `FLAWS.md` about a fault, beside the place where the fault is declared.
pub fn of_fault(fault: &Fault) -> Option<Passage> {
    let number = fault.source.strip_prefix("FLAWS ")?;
    let mut lines = FLAWS
        .lines()
        .skip_while(|line| !line.starts_with(&format!("### {number} ")));
    let title = lines.next()?.trim_start_matches('#').trim().to_owned();
    let body: Vec<&str> = lines.take_while(|line| !line.starts_with('#')).collect();
    let mut prose = vec![title];
    prose.extend(paragraphs(body.into_iter()));
    let declared = format!("name: \"{}\",", fault.name);
    Some(Passage {
        prose,
        source: Some(fault.source.to_owned()),
        place: place_of(&FAULTS, |line| line.trim() == declared)?,
    })
}

/// What a fault changes: one entry, in an era in which it shows.
pub fn entry_of(fault: &Fault, era: Era) -> Option<Entry> {
    let wrong = answers(&fault.in_era(era)?);
    let (right, wrong) = answers(&era.rulebook())
        .into_iter()
        .zip(wrong)
        .find(|(right, wrong)| right != wrong)?;
    let field = right.0;
    let kind = field_kind(&field)?;
    let declared = place_of(&RULEBOOK, |line| line.trim() == format!("{kind} {{"))?;
    Some(Entry {
        question: entry_comment(&kind, None)?,
        right: (right.1.clone(), entry_comment(&kind, Some(&right.1))?),
        wrong: (wrong.1.clone(), entry_comment(&kind, Some(&wrong.1))?),
        place: declared,
        read_at: readers(&field),
        field,
    })
}

/// The comment of a field of [`Scope`](crate::scope::Scope).
pub fn of_scope_field(field: &str) -> Option<String> {
    let found = passage(&SCOPE, &format!("pub {field}: "))?;
    found.prose.into_iter().next()
}

/// The sections that a text cites, as `3.1` or `3.7-4`.
pub fn sections(text: &str) -> BTreeSet<String> {
    text.split('§')
        .skip(1)
        .map(|rest| {
            let end = rest.find(|next: char| !(next.is_ascii_digit() || ".-".contains(next)));
            rest[..end.unwrap_or(rest.len())]
                .trim_end_matches(['.', '-'])
                .to_owned()
        })
        .collect()
}

/// Whether a text cites a section, or an item of its list.
pub fn cites(text: &str, section: &str) -> bool {
    sections(text)
        .iter()
        .any(|cited| cited.split('-').next() == Some(section))
}

/// The faults that are mistakes about a section: what they change answers a question of it.
pub fn faults_about(section: &str) -> Vec<&'static Fault> {
    let is_about = |fault: &&Fault| {
        entry_of(fault, fault.home()).is_some_and(|entry| cites(&entry.question, section))
    };
    fault::FAULTS.iter().filter(is_about).collect()
}

/// The sections of `PROTOCOL.md`, in their order, with their titles.
pub fn protocol_sections() -> Vec<(&'static str, &'static str)> {
    let headings = PROTOCOL.lines().filter(|line| line.starts_with("##"));
    let numbered = headings.filter_map(|line| line.trim_start_matches('#').trim().split_once(' '));
    numbered
        .filter(|(number, _)| number.starts_with(|first: char| first.is_ascii_digit()))
        .map(|(number, title)| (number.trim_end_matches('.'), title))
        .collect()
}

/// The item whose first line, without its indentation, begins like this.
fn passage(file: &File, start: &str) -> Option<Passage> {
    let lines: Vec<&str> = file.text.lines().collect();
    let line = lines
        .iter()
        .position(|line| line.trim().starts_with(start))?;
    Some(beside(file, &lines, line))
}

/// The function that judges a property: its comment begins with the property's name.
fn judge(file: &File, name: &str) -> Option<Passage> {
    let lines: Vec<&str> = file.text.lines().collect();
    let comment = lines.iter().position(|line| {
        let words = line
            .strip_prefix("/// ")
            .and_then(|rest| rest.strip_prefix(name));
        words.is_some_and(|rest| rest.starts_with(['.', ',']))
    })?;
    let line = comment
        + lines[comment..]
            .iter()
            .position(|line| line.contains("fn "))?;
    let mut found = beside(file, &lines, line);
    // The name alone says nothing new.
    found
        .prose
        .retain(|text| text.trim_end_matches('.') != name);
    Some(found)
}

/// The comment above a line.
fn beside(file: &File, lines: &[&str], line: usize) -> Passage {
    let comment = comment_above(lines, line);
    let is_source = |text: &String| text.starts_with("Source: ");
    let source = comment.iter().find(|text| is_source(text));
    Passage {
        source: source.map(|text| text["Source: ".len()..].to_owned()),
        prose: comment
            .iter()
            .filter(|text| !is_source(text))
            .cloned()
            .collect(),
        place: format!("{}:{}", file.path, line + 1),
    }
}

/// The paragraphs of the comment that ends just above a line, attributes between them aside.
fn comment_above(lines: &[&str], line: usize) -> Vec<String> {
    let above = lines[..line].iter().rev().map(|line| line.trim());
    let comment: Vec<&str> = above
        .skip_while(|line| line.starts_with('#'))
        .take_while(|line| line.starts_with("///"))
        .map(|line| line.trim_start_matches('/').trim_start())
        .collect();
    paragraphs(comment.into_iter().rev())
}

/// Lines joined to paragraphs; a point of a list is a paragraph.
fn paragraphs<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in lines {
        let words = line.trim();
        if words.is_empty() {
            open = false;
        } else if open && !words.starts_with("* ") && !words.starts_with("Source: ") {
            if let Some(last) = found.last_mut() {
                last.push(' ');
                last.push_str(words);
            }
        } else {
            found.push(words.to_owned());
            open = true;
        }
    }
    found
}

/// The wording of an invariant: the point of the list that begins with its name.
fn invariant(name: &str) -> Option<String> {
    let start = format!("* **{name} ");
    let mut lines = PROTOCOL
        .lines()
        .skip_while(|line| !line.starts_with(&start));
    let first = lines.next()?.strip_prefix("* ")?;
    let rest = lines.take_while(|line| line.starts_with("  "));
    paragraphs(std::iter::once(first).chain(rest)).pop()
}

/// The entries of a rulebook, each with the name of its answer.
fn answers(book: &Rulebook) -> Vec<(String, String)> {
    let text = format!("{book:#?}");
    let fields = text.lines().filter_map(|line| line.trim().split_once(": "));
    fields
        .map(|(field, answer)| (field.to_owned(), answer.trim_end_matches(',').to_owned()))
        .collect()
}

/// The type of a field of the rulebook.
fn field_kind(field: &str) -> Option<String> {
    let start = format!("pub {field}: ");
    let mut lines = RULEBOOK.text.lines();
    let kind = lines.find_map(|line| line.trim().strip_prefix(&start))?;
    Some(kind.trim_end_matches(',').to_owned())
}

/// The comment of an entry, or of one of its answers.
fn entry_comment(kind: &str, answer: Option<&str>) -> Option<String> {
    let lines: Vec<&str> = RULEBOOK.text.lines().collect();
    let entry = lines
        .iter()
        .position(|line| line.trim() == format!("{kind} {{"))?;
    let line = match answer {
        None => entry,
        Some(answer) => {
            let is_it = |line: &&str| line.trim() == format!("{answer},");
            entry + lines[entry..].iter().position(is_it)?
        }
    };
    comment_above(&lines, line).into_iter().next()
}

/// Where the rules and decisions read an entry.
fn readers(field: &str) -> Vec<String> {
    let read = format!("book.{field}");
    let mut found = Vec::new();
    for file in RULES {
        for (line, text) in file.text.lines().enumerate() {
            let mut after = text.split(&read).skip(1);
            let whole = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            if after.any(whole) {
                found.push(format!("{}:{}", file.path, line + 1));
            }
        }
    }
    found
}

fn place_of(file: &File, is_it: impl Fn(&str) -> bool) -> Option<String> {
    let line = file.text.lines().position(is_it)?;
    Some(format!("{}:{}", file.path, line + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_prose_a_source_and_a_place() {
        for rule in rules() {
            let found = of_rule(rule).unwrap_or_else(|| panic!("{rule} is not found"));
            assert!(found.prose.concat().len() > 20, "{rule}: {:?}", found.prose);
            let source = found
                .source
                .unwrap_or_else(|| panic!("{rule} has no source"));
            assert!(!sections(&source).is_empty(), "{rule}: {source}");
            assert!(found.place.starts_with("model/src/rules/"), "{rule}");
        }
    }

    #[test]
    fn every_property_has_its_wording_and_its_judge() {
        for property in Property::ALL {
            let found = of_property(property).unwrap_or_else(|| panic!("{property:?}"));
            assert!(found.prose[0].starts_with("**"), "{:?}", found.prose);
            assert!(found.place.contains(".rs:"));
        }
    }

    #[test]
    fn every_fault_has_its_flaw_and_changes_one_entry_that_somebody_reads() {
        for fault in fault::FAULTS {
            let found = of_fault(fault).unwrap_or_else(|| panic!("{}", fault.name));
            assert!(found.prose.len() > 1, "{}: {:?}", fault.name, found.prose);
            let entry = entry_of(fault, fault.home());
            let entry = entry.unwrap_or_else(|| panic!("{} changes nothing", fault.name));
            assert!(!entry.read_at.is_empty(), "{}: {entry:?}", fault.name);
            assert!(!sections(&entry.question).is_empty(), "{}", entry.question);
            // What is wrong here may be right in another era.
            assert_ne!(entry.right.1, entry.wrong.1, "{}", fault.name);
        }
    }

    #[test]
    fn a_comment_is_read_as_it_stands() {
        let found = of_rule("cut-link").unwrap();
        let prose =
            "The network loses a connection with everything on its way. Neither end knows yet.";
        assert_eq!(found.prose, [prose]);
        let source = found.source.unwrap();
        assert_eq!(sections(&source), BTreeSet::from(["4.5".to_owned()]));
    }

    #[test]
    fn names_that_are_not_there_have_no_passage() {
        assert_eq!(of_rule("cut-lin"), None);
        assert_eq!(invariant("S99"), None);
    }
}
