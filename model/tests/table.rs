//! From each section of `PROTOCOL.md` to the rules that stand for it, the faults that are mistakes about it, and the
//! properties that catch them: `TABLE.md` is generated, and this test keeps it true.
//!
//! A section without a rule, or without a fault, is explained here; an explanation for what is there is an error.

use expect_test::expect_file;
use psync_model::catch::TEETH;
use psync_model::fault::{FAULTS, Fault};
use psync_model::property::Property;
use psync_model::prose::{self, cites};
use std::collections::BTreeSet;

/// What stands for a section.
struct Row {
    number: &'static str,
    title: &'static str,
    rules: Vec<&'static str>,
    faults: Vec<&'static Fault>,
}

/// A cell that may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Rules,
    Faults,
}

const NO_NUMBERS: &str = "no name and no number is decided here";
const SERVERS: &str = "about running servers, not about the protocol: what the judge relies on";
const LATER: &str = "not in the model yet: an era of its own";
const COMMANDS: &str = "commands of an operator; what they do is §4.6";

/// Why a cell is empty.
const EMPTY: &[(&str, Cell, &str)] = &[
    (
        "1",
        Cell::Rules,
        "the words, which the variables of the model are named after",
    ),
    (
        "1",
        Cell::Faults,
        "words cannot be wrong, only used wrongly",
    ),
    (
        "2.1",
        Cell::Rules,
        "comes before the request and leaves no trace in any label",
    ),
    ("2.1", Cell::Faults, NO_NUMBERS),
    (
        "2.3",
        Cell::Faults,
        "what an answer says is decided in §3.1 and §3.3, what it does in §4.3",
    ),
    ("2.7", Cell::Rules, COMMANDS),
    ("2.7", Cell::Faults, COMMANDS),
    ("2.8", Cell::Rules, LATER),
    ("2.8", Cell::Faults, LATER),
    (
        "2.9",
        Cell::Rules,
        "a promotion and a demotion in an order that an operator could choose too: §4.6",
    ),
    (
        "2.9",
        Cell::Faults,
        "what could go wrong in it goes wrong in §4.6",
    ),
    (
        "3.5",
        Cell::Faults,
        "that a replica is gone changes no name and no number; what it leaves behind is §3.4 and §3.6",
    ),
    (
        "3.8",
        Cell::Faults,
        "the count is as good as what is acknowledged: §2.6",
    ),
    (
        "4.1",
        Cell::Rules,
        "the order of the steps of a link, which the guards of the rules of §4.2 to §4.5 make",
    ),
    (
        "4.1",
        Cell::Faults,
        "a step out of order cannot be taken; one that never comes breaks L1 in §2.5 and §2.6",
    ),
    (
        "4.7",
        Cell::Faults,
        "passing on what was read is §2.5; what a middle node does to its own replicas is §4.4",
    ),
    (
        "5",
        Cell::Rules,
        "the eras, which choose among the answers of the rulebook",
    ),
    ("5", Cell::Faults, "an era is no mistake"),
    ("6", Cell::Rules, "what must hold, and no rule reads"),
    ("7.1", Cell::Rules, SERVERS),
    ("7.1", Cell::Faults, SERVERS),
    ("7.2", Cell::Rules, SERVERS),
    ("7.2", Cell::Faults, SERVERS),
    ("7.3", Cell::Rules, SERVERS),
    ("7.3", Cell::Faults, SERVERS),
    ("7.4", Cell::Rules, SERVERS),
    ("7.4", Cell::Faults, SERVERS),
    (
        "8",
        Cell::Faults,
        "conversations that were seen, in which nothing is wrong",
    ),
];

/// The reason for an empty cell.
fn reason(number: &str, cell: Cell) -> Option<&'static str> {
    let row = EMPTY.iter().find(|row| (row.0, row.1) == (number, cell))?;
    Some(row.2)
}

fn rows() -> Vec<Row> {
    let all = prose::protocol_sections();
    let has_parts = |number: &str| {
        let start = format!("{number}.");
        all.iter().any(|(other, _)| other.starts_with(&start))
    };
    all.iter()
        .filter(|(number, _)| !has_parts(number))
        .map(|&(number, title)| Row {
            number,
            title,
            rules: rules_of(number),
            faults: prose::faults_about(number),
        })
        .collect()
}

fn rules_of(number: &str) -> Vec<&'static str> {
    let source = |rule: &str| prose::of_rule(rule).and_then(|found| found.source);
    let mut rules: Vec<_> = prose::rules().into_iter().collect();
    rules.retain(|rule| cites(&source(rule).expect("every rule has a source"), number));
    rules
}

/// The property that catches a fault first, and those it is the proof of teeth for.
fn caught_by(fault: &Fault) -> BTreeSet<Property> {
    let teeth = TEETH.iter().filter(|row| row.1 == fault.name);
    teeth.map(|row| row.0).chain([fault.property]).collect()
}

fn names<T>(all: &[T], name: impl Fn(&T) -> String) -> String {
    all.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The cells of a row, each with what is there or the reason why nothing is.
fn cells(row: &Row) -> [String; 3] {
    let or_reason = |text: String, cell| match reason(row.number, cell) {
        Some(why) if text.is_empty() => format!("*{why}*"),
        _ => text,
    };
    let caught: BTreeSet<Property> = row
        .faults
        .iter()
        .flat_map(|fault| caught_by(fault))
        .collect();
    let caught: Vec<_> = caught.into_iter().collect();
    let properties = if caught.is_empty() {
        "–".to_owned()
    } else {
        names(&caught, |property| format!("{property:?}"))
    };
    [
        or_reason(names(&row.rules, |rule| format!("`{rule}`")), Cell::Rules),
        properties,
        or_reason(
            names(&row.faults, |fault| format!("`{}`", fault.name)),
            Cell::Faults,
        ),
    ]
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn sections_table(out: &mut String) {
    out.push_str(
        "## Sections\n\nA section is that of a rule's `Source:` line, and that of the rulebook's entry which a \
         fault changes.\n\n| PROTOCOL | rules | properties that catch it | faults |\n|---|---|---|---|\n",
    );
    for row in rows() {
        let [rules, properties, faults] = cells(&row);
        let (number, title) = (row.number, row.title);
        line(
            out,
            &format!("| §{number} {title} | {rules} | {properties} | {faults} |"),
        );
    }
}

fn rules_table(out: &mut String) {
    out.push_str("\n## Rules\n\n| rule | source |\n|---|---|\n");
    for rule in prose::rules() {
        let source = prose::of_rule(rule).and_then(|found| found.source);
        let source = source.expect("every rule has a source");
        line(
            out,
            &format!("| `{rule}` | {} |", source.trim_end_matches('.')),
        );
    }
}

fn properties_table(out: &mut String) {
    out.push_str(
        "\n## Properties\n\nThe fault is one that breaks the property when nothing else is watched; *first* are those\n\
         whose shortest counterexample breaks it.\n\n| property | what must hold | fault | first |\n|---|---|---|---|\n",
    );
    for property in Property::ALL {
        let teeth = TEETH.iter().find(|row| row.0 == property);
        let teeth = teeth.expect("every property has teeth").1;
        let first: Vec<_> = FAULTS
            .iter()
            .filter(|fault| fault.property == property)
            .collect();
        let first = if first.is_empty() {
            "*broken together with another, or after it*".to_owned()
        } else {
            names(&first, |fault| format!("`{}`", fault.name))
        };
        let sentence = property.sentence();
        line(
            out,
            &format!("| {property:?} | {sentence} | `{teeth}` | {first} |"),
        );
    }
}

fn faults_table(out: &mut String) {
    out.push_str(
        "\n## Faults\n\n| fault | flaw | what is wrong | entry | caught by | eras |\n|---|---|---|---|---|---|\n",
    );
    for fault in FAULTS {
        let entry = prose::entry_of(fault, fault.home()).expect("a fault changes an entry");
        let Fault {
            name,
            source,
            sentence,
            since,
            until,
            ..
        } = fault;
        let caught: Vec<_> = caught_by(fault).into_iter().collect();
        let caught = names(&caught, |property| format!("{property:?}"));
        let (field, wrong) = (entry.field, entry.wrong.0);
        let eras = if since == until {
            since.name().to_owned()
        } else {
            format!("{since} to {until}")
        };
        let row = format!(
            "| `{name}` | {source} | {sentence} | `{field}: {wrong}` | {caught} | {eras} |"
        );
        line(out, &row);
    }
}

#[test]
fn the_table_is_what_the_model_says() {
    let mut table = String::from(
        "# From the protocol to what catches a mistake in it\n\nGenerated from the rules, the rulebook, the properties \
         and the faults by `model/tests/table.rs`;\n`UPDATE_EXPECT=1 cargo test -p psync-model --test table` writes it \
         anew.\n`psync-model explain NAME` says more about each name.\n\n",
    );
    sections_table(&mut table);
    rules_table(&mut table);
    properties_table(&mut table);
    faults_table(&mut table);
    expect_file!["../TABLE.md"].assert_eq(&table);
}

#[test]
fn exactly_the_empty_cells_are_explained() {
    let empty: BTreeSet<(&str, bool)> = rows()
        .iter()
        .flat_map(|row| {
            let rules = row.rules.is_empty().then_some((row.number, true));
            let faults = row.faults.is_empty().then_some((row.number, false));
            rules.into_iter().chain(faults)
        })
        .collect();
    let explained = EMPTY.iter().map(|row| (row.0, row.1 == Cell::Rules));
    assert_eq!(empty, explained.collect());
}

#[test]
fn every_rule_property_and_fault_is_in_some_section() {
    let rows = rows();
    let rules: BTreeSet<&str> = rows.iter().flat_map(|row| row.rules.clone()).collect();
    assert_eq!(rules, prose::rules());
    let faults: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| &row.faults)
        .map(|fault| fault.name)
        .collect();
    assert_eq!(faults, FAULTS.iter().map(|fault| fault.name).collect());
    let caught: BTreeSet<Property> = rows
        .iter()
        .flat_map(|row| &row.faults)
        .flat_map(|fault| caught_by(fault))
        .collect();
    assert_eq!(caught, BTreeSet::from(Property::ALL));
}
