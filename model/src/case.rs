//! Cases: plans as data that other programs can read and write.
//!
//! A case is JSON Lines: a header, then one step a line. Readers ignore fields they do not know and refuse a
//! major version they do not know; a field is never given a new meaning, and one that goes takes a new major
//! version.

use crate::casting::Casting;
use crate::cover::{Cover, Plan};
use crate::fault;
use crate::narrate::{has_room, roomy};
use crate::rulebook::{Era, Rulebook};
use crate::rules::Setting;
use crate::scope::Scope;
use crate::step::{Actor, Step};
use crate::token::{MAX_TOKENS, MAX_WRITES};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};

/// The format's name, on the header line.
pub const FORMAT: &str = "psync-case";

/// The version this program writes: `major.minor`.
pub const VERSION: &str = "1.3";

/// The longest line a reader accepts, in bytes: a header with room to spare.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// The most steps a reader accepts.
pub const MAX_CASE_STEPS: usize = 1_000;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Always [`FORMAT`].
    pub format: String,
    /// As [`VERSION`].
    pub version: String,
    /// The name of the case: era, casting, the rule it was made for, and a digest of its steps.
    pub id: String,
    /// The generation of the protocol.
    pub era: Era,
    /// The fault of the rulebook the plan was made with; none for a case that servers are judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Whether the rulebook has the flaws that servers of the era still have; since 1.1, before it had none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_shipped: bool,
    /// The scope the plan was made in.
    pub scope: Scope,
    /// The node under test, or every node.
    pub casting: Casting,
}

/// Every other line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// Who brings the step about.
    actor: Actor,
    #[serde(flatten)]
    step: Step,
}

/// A plan with everything needed to carry it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The header.
    pub header: Header,
    /// The plan.
    pub steps: Vec<Step>,
}

/// What is wrong with a case file.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The file cannot be read.
    #[error("line {line}: cannot be read: {source}")]
    Unreadable {
        /// The line, from 1.
        line: usize,
        /// Why.
        source: std::io::Error,
    },
    /// The file is empty.
    #[error(
        "the file is empty: a case begins with a header line such as {{\"format\":\"{FORMAT}\",\"version\":\"{VERSION}\",…}}"
    )]
    Empty,
    /// A line is longer than any case needs.
    #[error("line {line}: longer than {MAX_LINE_BYTES} bytes")]
    LongLine {
        /// The line, from 1.
        line: usize,
    },
    /// There are more steps than anyone would replay.
    #[error("more than {MAX_CASE_STEPS} steps")]
    TooLong,
    /// A line is not what it should be.
    #[error("line {line}: not a {expected} of a case: {source}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// What it should be.
        expected: &'static str,
        /// Why it is not.
        source: serde_json::Error,
    },
    /// The file is something else.
    #[error("the header says format `{found}`; a case says `{FORMAT}`")]
    OtherFormat {
        /// What it says.
        found: String,
    },
    /// The file is of a version this program cannot know.
    #[error(
        "version {found} is not readable by this program, which reads version {VERSION} and its successors with the same first number"
    )]
    OtherVersion {
        /// What it says.
        found: String,
    },
    /// The fault is not one of ours.
    #[error("the era {era} has no fault called `{name}`")]
    UnknownFault {
        /// The name.
        name: String,
        /// The era.
        era: Era,
    },
    /// The steps cannot follow each other, or the file was cut short.
    #[error("step {step} ({rule}) does not apply after the steps before it")]
    NotAPlan {
        /// The step, from 1.
        step: usize,
        /// Its rule.
        rule: String,
    },
    /// A plain world cannot tell apart all that is written.
    #[error(
        "step {step}: the steps before it write more than can be told apart: at most {MAX_WRITES} writes, and {MAX_TOKENS} commands in one history"
    )]
    TooMuch {
        /// The step, from 1, for which there is no room.
        step: usize,
    },
    /// There is nothing to do.
    #[error("the case has no steps: the file may have been cut short")]
    NoSteps,
}

impl Case {
    /// A case for a plan.
    pub fn of(era: Era, scope: Scope, casting: Casting, plan: &Plan) -> Self {
        let purpose = plan
            .targets
            .last()
            .map_or_else(|| "plan".to_string(), |target| target.step.to_string());
        Self::named(era, scope, casting, &purpose, plan.steps.clone())
    }

    /// A case for some steps, with a word about what they are for.
    pub fn named(
        era: Era,
        scope: Scope,
        casting: Casting,
        purpose: &str,
        steps: Vec<Step>,
    ) -> Self {
        let id = format!("{era}/{casting}/{purpose}/{:08x}", digest(&steps));
        Self {
            header: Header {
                format: FORMAT.to_string(),
                version: VERSION.to_string(),
                id,
                era,
                fault: None,
                as_shipped: false,
                scope,
                casting,
            },
            steps,
        }
    }

    /// The same case with other steps, and so with another name.
    #[must_use]
    pub fn with_steps(&self, steps: Vec<Step>) -> Self {
        let mut case = self.clone();
        let (purpose, _) = self
            .header
            .id
            .rsplit_once('/')
            .unwrap_or((&self.header.id, ""));
        case.header.id = format!("{purpose}/{:08x}", digest(&steps));
        case.steps = steps;
        case
    }

    /// The rulebook of the case.
    pub fn rulebook(&self) -> Result<Rulebook, CaseError> {
        let Header {
            era,
            fault,
            as_shipped,
            ..
        } = &self.header;
        match fault {
            None if *as_shipped => Ok(era.rulebook().as_shipped()),
            None => Ok(era.rulebook()),
            Some(name) => fault::named(name)
                .and_then(|fault| fault.in_era(*era))
                .ok_or_else(|| CaseError::UnknownFault {
                    name: name.clone(),
                    era: *era,
                }),
        }
    }

    /// Era and configuration of the case.
    pub fn setting(&self) -> Result<Setting, CaseError> {
        Ok(self.header.scope.setting(self.rulebook()?))
    }

    /// Writes the case.
    pub fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        serde_json::to_writer(&mut *out, &self.header)?;
        writeln!(out)?;
        let setting = self.setting().map_err(std::io::Error::other)?;
        let mut world = self.header.scope.topology.beginning();
        for &step in &self.steps {
            let actor = step.actor(&world);
            serde_json::to_writer(&mut *out, &Line { actor, step })?;
            writeln!(out)?;
            world = step.apply(&roomy(&world), &setting).unwrap_or(world);
        }
        Ok(())
    }

    /// Reads one case and makes sure that it is a plan.
    pub fn read(input: impl BufRead) -> Result<Self, CaseError> {
        let mut lines = numbered_lines(input);
        let (number, first) = lines.next().ok_or(CaseError::Empty)??;
        let header = read_header(number, &first)?;
        let mut steps = Vec::new();
        for line in lines {
            let (number, text) = line?;
            let malformed = |source| CaseError::Malformed {
                line: number,
                expected: "step",
                source,
            };
            steps.push(serde_json::from_str::<Line>(&text).map_err(malformed)?.step);
            if steps.len() > MAX_CASE_STEPS {
                return Err(CaseError::TooLong);
            }
        }
        let case = Self { header, steps };
        case.check()?;
        Ok(case)
    }

    fn check(&self) -> Result<(), CaseError> {
        if self.steps.is_empty() {
            return Err(CaseError::NoSteps);
        }
        let setting = self.setting()?;
        let mut world = self.header.scope.topology.beginning();
        for (place, step) in self.steps.iter().enumerate() {
            if !has_room(&world) {
                return Err(CaseError::TooMuch { step: place + 1 });
            }
            world = step
                .apply(&world, &setting)
                .ok_or_else(|| CaseError::NotAPlan {
                    step: place + 1,
                    rule: step.to_string(),
                })?;
        }
        Ok(())
    }
}

/// The cases of a cover, in the order of its plans.
pub fn cases(era: Era, scope: Scope, casting: Casting, cover: &Cover) -> Vec<Case> {
    cover
        .plans
        .iter()
        .map(|plan| Case::of(era, scope, casting, plan))
        .collect()
}

fn read_header(line: usize, text: &str) -> Result<Header, CaseError> {
    let malformed = |source| CaseError::Malformed {
        line,
        expected: "header",
        source,
    };
    let value: serde_json::Value = serde_json::from_str(text).map_err(malformed)?;
    let says = |field: &str| {
        value
            .get(field)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_string()
    };
    if says("format") != FORMAT {
        return Err(CaseError::OtherFormat {
            found: says("format"),
        });
    }
    let major = |version: &str| version.split('.').next().map(str::to_string);
    if major(&says("version")) != major(VERSION) {
        return Err(CaseError::OtherVersion {
            found: says("version"),
        });
    }
    serde_json::from_value(value).map_err(malformed)
}

/// The lines that are not blank, with their numbers, none longer than [`MAX_LINE_BYTES`].
fn numbered_lines(
    mut input: impl BufRead,
) -> impl Iterator<Item = Result<(usize, String), CaseError>> {
    let mut line = 0;
    std::iter::from_fn(move || {
        loop {
            line += 1;
            let mut text = String::new();
            let mut limited = std::io::Read::take(&mut input, MAX_LINE_BYTES as u64 + 1);
            match limited.read_line(&mut text) {
                Err(source) => return Some(Err(CaseError::Unreadable { line, source })),
                Ok(0) => return None,
                Ok(_) if text.len() > MAX_LINE_BYTES => {
                    return Some(Err(CaseError::LongLine { line }));
                }
                Ok(_) if text.trim().is_empty() => {}
                Ok(_) => return Some(Ok((line, text))),
            }
        }
    })
}

/// A digest of the steps that is the same on every machine: FNV-1a over their names.
fn digest(steps: &[Step]) -> u32 {
    let names: Vec<String> = steps.iter().map(|step| format!("{step:?}\n")).collect();
    let text = names.concat();
    text.bytes().fold(0x811c_9dc5, |digest, byte| {
        (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::NodeId;

    fn sample() -> Case {
        let plan = Plan {
            steps: vec![
                Step::Write {
                    node: NodeId::Primary,
                },
                Step::Ask {
                    replica: NodeId::Replica,
                },
            ],
            targets: Vec::new(),
        };
        let scope = crate::scope::named("replay")
            .expect("the scope exists")
            .scope;
        Case::of(Era::Psync2V7, scope, Casting::Primary, &plan)
    }

    fn written(case: &Case) -> String {
        let mut out = Vec::new();
        case.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_case_survives_writing_and_reading() {
        let case = sample();
        assert_eq!(Case::read(written(&case).as_bytes()).unwrap(), case);
    }

    #[test]
    fn unknown_fields_are_ignored_and_unknown_versions_refused() {
        let text = written(&sample());
        let extended = text.replace("\"rule\":\"ask\"", "\"rule\":\"ask\",\"remark\":\"later\"");
        assert_eq!(Case::read(extended.as_bytes()).unwrap(), sample());
        let newer = text.replace("\"version\":\"1.3\"", "\"version\":\"1.7\"");
        assert_eq!(Case::read(newer.as_bytes()).unwrap().steps, sample().steps);
        let alien = text.replace("\"version\":\"1.3\"", "\"version\":\"2.0\"");
        assert!(matches!(
            Case::read(alien.as_bytes()),
            Err(CaseError::OtherVersion { .. })
        ));
    }

    #[test]
    fn what_is_no_plan_is_refused_where_it_stops_being_one() {
        let mut case = sample();
        case.steps.insert(
            0,
            Step::Apply {
                replica: NodeId::Replica,
            },
        );
        assert!(matches!(
            Case::read(written(&case).as_bytes()),
            Err(CaseError::NotAPlan { step: 1, .. })
        ));
        let header_only = written(&sample()).lines().next().unwrap().to_string();
        assert!(matches!(
            Case::read(header_only.as_bytes()),
            Err(CaseError::NoSteps)
        ));
        assert!(matches!(Case::read("".as_bytes()), Err(CaseError::Empty)));
    }

    #[test]
    fn more_writes_than_can_be_told_apart_are_an_error_and_no_panic() {
        let node = NodeId::Primary;
        let endless = sample().with_steps(vec![Step::Write { node }; 50]);
        assert!(matches!(
            Case::read(written(&endless).as_bytes()),
            Err(CaseError::TooMuch { .. })
        ));
    }

    #[test]
    fn a_case_as_shipped_has_the_flaws_of_its_era() {
        let mut case = sample();
        case.header.as_shipped = true;
        let again = Case::read(written(&case).as_bytes()).unwrap();
        assert_eq!(
            again.rulebook().unwrap(),
            Era::Psync2V7.rulebook().as_shipped()
        );
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_is_read_whole() {
        let endless = "x".repeat(MAX_LINE_BYTES * 2);
        assert!(matches!(
            Case::read(endless.as_bytes()),
            Err(CaseError::LongLine { line: 1 })
        ));
    }
}
