//! The case format for other people's tools: the JSON Schema says what is written, and what was ever written stays
//! readable.
//!
//! The schema is generated from the steps and scopes there are, and kept true here; `schema/README.md` says what
//! a version promises.

use clap::ValueEnum;
use expect_test::expect_file;
use psync_model::case::{Case, FORMAT, VERSION};
use psync_model::casting::Casting;
use psync_model::decision::Refusal;
use psync_model::prose;
use psync_model::rulebook::Era;
use psync_model::scope::{self, Scope};
use psync_model::step::{Actor, Step};
use psync_model::world::{Framing, NodeId, Topology};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const CASE_1_0: &str = include_str!("cases/1.0.jsonl");
const CASE_1_1: &str = include_str!("cases/1.1.jsonl");
const CASE_1_2: &str = include_str!("cases/1.2.jsonl");
const SCHEMA: &str = include_str!("../schema/case-1.schema.json");

/// The fields of a scope that version 1.0 had; the others have defaults.
const SCOPE_OF_1_0: [&str; 12] = [
    "backlog_commands",
    "lag_commands",
    "pings",
    "halves",
    "sockets",
    "failures",
    "socket_failures",
    "restarts",
    "saves",
    "expiry",
    "stale",
    "stranger",
];

fn values<T: Serialize>(all: impl IntoIterator<Item = T>) -> Value {
    all.into_iter().map(|value| json!(value)).collect()
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

/// What may stand in a scope.
fn scope_schema() -> Value {
    let sample = json!(scope::named("replay").expect("the scope exists").scope);
    let mut properties = BTreeMap::new();
    for (field, value) in sample.as_object().expect("a scope has fields") {
        let mut schema = match value {
            Value::Bool(_) => json!({"type": "boolean"}),
            Value::Number(_) => json!({"type": "integer", "minimum": 1}),
            _ => json!({"enum": values(Topology::value_variants())}),
        };
        schema["description"] = json!(prose::of_scope_field(field).expect("a field has a comment"));
        properties.insert(field, schema);
    }
    json!({
        "type": "object",
        "description": "The scope in which the plan was made; fields that are missing are as they were in 1.0.",
        "properties": properties,
        "required": SCOPE_OF_1_0,
    })
}

fn header_schema() -> Value {
    json!({
        "type": "object",
        "description": "The first line.",
        "properties": {
            "format": {"const": FORMAT},
            "version": {"type": "string", "pattern": "^1\\.[0-9]+$", "description": "major.minor"},
            "id": text("Era, casting, what the case is for, and a digest of its steps."),
            "era": {"enum": values(Era::ALL), "description": "The generation of the protocol."},
            "fault": text("The fault of the rulebook with which the plan was made; none is the rule."),
            "as_shipped": {
                "type": "boolean",
                "description": "Since 1.1: whether the rulebook has the flaws that servers of the era still have.",
            },
            "scope": scope_schema(),
            "casting": {"enum": values(Casting::ALL), "description": "The node under test, or every node."},
        },
        "required": ["format", "version", "id", "era", "scope", "casting"],
    })
}

/// One rule's line: the parameters it has, with every value each can have.
fn step_schema(rule: &str, steps: &[Step]) -> Value {
    let mut properties: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for step in steps {
        for (name, value) in json!(step).as_object().expect("a step has fields") {
            let value = value.as_str().expect("a parameter is a word").to_owned();
            properties.entry(name.clone()).or_default().insert(value);
        }
    }
    let required: Vec<String> = std::iter::once("actor".to_owned())
        .chain(properties.keys().cloned())
        .collect();
    let mut properties: serde_json::Map<String, Value> = properties
        .into_iter()
        .map(|(name, values)| (name, json!({"enum": values})))
        .collect();
    properties.insert("rule".to_owned(), json!({"const": rule}));
    properties.insert("actor".to_owned(), json!({"$ref": "#/$defs/actor"}));
    let prose = prose::of_rule(rule).expect("a rule has a comment").prose;
    json!({
        "type": "object",
        "description": prose[0],
        "properties": properties,
        "required": required,
    })
}

fn schema() -> Value {
    let mut steps: BTreeMap<&str, Vec<Step>> = BTreeMap::new();
    for step in Step::among(Topology::LongChain) {
        steps.entry(step.rule_name()).or_default().push(step);
    }
    let actors = NodeId::ALL
        .map(Actor::Node)
        .into_iter()
        .chain([Actor::Environment]);
    let lines: Vec<Value> = steps
        .iter()
        .map(|(rule, steps)| step_schema(rule, steps))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of a case",
        "description": "A case is JSON Lines: a header, then one step a line. Readers ignore fields they do not know \
                        and refuse a major version they do not know.",
        "oneOf": [{"$ref": "#/$defs/header"}, {"$ref": "#/$defs/step"}],
        "$defs": {
            "header": header_schema(),
            "actor": {"enum": values(actors), "description": "Who brings the step about."},
            "step": {"description": "Every other line.", "oneOf": lines},
        },
    })
}

/// The case that version 1.3 is remembered by: with the casting that 1.2 did not have.
fn case_of_1_3() -> Case {
    let scope = scope::named("handover").expect("the scope exists").scope;
    let (node, replica) = (NodeId::Primary, NodeId::Replica);
    let steps = vec![
        Step::Ask { replica },
        Step::DeclinePartial {
            replica,
            refusal: Refusal::NoLabel,
        },
        Step::StartSnapshot {
            node,
            framing: Framing::Disk,
        },
        Step::FinishSnapshot { node },
        Step::FollowInTransaction {
            node,
            parent: replica,
        },
    ];
    let purpose = "follow-in-transaction";
    Case::named(Era::Psync2V7, scope, Casting::Whole, purpose, steps)
}

fn written(case: &Case) -> String {
    let mut out = Vec::new();
    case.write(&mut out).expect("memory takes everything");
    String::from_utf8(out).expect("JSON is text")
}

#[test]
fn the_schema_says_what_there_is() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    expect_file!["../schema/case-1.schema.json"].assert_eq(&text);
}

#[test]
fn a_case_of_the_first_version_is_read_with_what_it_did_not_say_at_its_default() {
    let case = Case::read(CASE_1_0.as_bytes()).unwrap();
    let replay = scope::named("replay").unwrap().scope;
    assert_eq!(case.header.scope, replay);
    assert!(!case.header.as_shipped && case.header.fault.is_none());
    assert_eq!(
        (case.steps.len(), case.header.version.as_str()),
        (13, "1.0")
    );
    // Its name is a digest of its steps, which must stay what it was.
    let again = case.with_steps(case.steps.clone());
    assert_eq!(again.header.id, case.header.id);
    assert_eq!(
        written(&case).lines().skip(1).collect::<Vec<_>>(),
        CASE_1_0.lines().skip(1).collect::<Vec<_>>()
    );
}

#[test]
fn a_case_of_version_1_1_is_read_with_what_it_did_not_say_at_its_default() {
    let case = Case::read(CASE_1_1.as_bytes()).unwrap();
    assert_eq!(case.header.scope, scope::named("errors").unwrap().scope);
    assert!(case.header.as_shipped);
    let again = case.with_steps(case.steps.clone());
    assert_eq!(again.header.id, case.header.id);
}

#[test]
fn a_case_of_version_1_2_is_read_as_it_was_written() {
    let case = Case::read(CASE_1_2.as_bytes()).unwrap();
    let scope = scope::named("transactions").unwrap().scope;
    assert_eq!(case.header.scope, scope);
    let again = case.with_steps(case.steps.clone());
    assert_eq!(again.header.id, case.header.id);
}

#[test]
fn what_is_written_is_the_golden_file_of_its_version() {
    assert_eq!(
        VERSION, "1.3",
        "a new version gets a golden file of its own, and the old one stays"
    );
    let case = case_of_1_3();
    expect_file!["cases/1.3.jsonl"].assert_eq(&written(&case));
    assert_eq!(Case::read(written(&case).as_bytes()).unwrap(), case);
}

#[test]
fn every_line_that_is_written_obeys_the_schema_and_a_wrong_one_does_not() {
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let text = CASE_1_0.to_owned() + CASE_1_1 + CASE_1_2 + &written(&case_of_1_3());
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        if let Err(error) = validator.validate(&value) {
            panic!("{line}: {error}");
        }
        let mut later = value.clone();
        later["remark"] = json!("a field of a later version");
        assert!(validator.is_valid(&later), "{line}");
    }
    for wrong in [
        json!({"actor": "environment", "rule": "write"}),
        json!({"actor": "nobody", "rule": "write", "node": "primary"}),
        json!({"actor": "environment", "rule": "wright", "node": "primary"}),
        json!({"format": FORMAT, "version": "2.0", "id": "", "era": "psync", "casting": "primary"}),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

#[test]
fn every_scope_there_is_can_be_written_and_read() {
    for named in scope::SCOPES {
        let text = serde_json::to_string(&named.scope).unwrap();
        assert_eq!(serde_json::from_str::<Scope>(&text).unwrap(), named.scope);
    }
}
