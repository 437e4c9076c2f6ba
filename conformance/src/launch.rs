//! Command templates: how a profile says what to start, and how that becomes words for the operating system. No shell
//! takes part, so nothing in a profile can be more than words of one command.
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

/// The words in braces that a template may hold.
pub const PLACEHOLDERS: [&str; 6] = ["self", "port", "dir", "era", "primary_host", "primary_port"];

/// A template that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// It has no word.
    #[error("a command needs at least one word")]
    Empty,
    /// A word in braces that means nothing.
    #[error("{{{name}}} is no placeholder; these are: {}", PLACEHOLDERS.map(|known| format!("{{{known}}}")).join(" "))]
    UnknownPlaceholder {
        /// What stands in the braces.
        name: String,
    },
    /// A quotation mark without its partner.
    #[error("a quotation mark is not closed in: {text}")]
    OpenQuote {
        /// The template.
        text: String,
    },
}

/// The words of a command, with placeholders in braces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "TemplateText")]
pub struct Template {
    words: Vec<String>,
}

/// As written in TOML: one string, or its words.
#[derive(Deserialize)]
#[serde(untagged)]
enum TemplateText {
    Line(String),
    Words(Vec<String>),
}

/// What the placeholders stand for in one start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// The harness's own program.
    pub program: PathBuf,
    /// The port to listen on.
    pub port: u16,
    /// The folder to work in.
    pub dir: PathBuf,
    /// The era's name.
    pub era: &'static str,
    /// Host and port of the primary to follow, when it starts as a replica.
    pub primary: Option<(String, u16)>,
}

impl TryFrom<TemplateText> for Template {
    type Error = TemplateError;

    fn try_from(text: TemplateText) -> Result<Self, TemplateError> {
        match text {
            TemplateText::Line(line) => Self::of_line(&line),
            TemplateText::Words(words) => Self::of_words(words),
        }
    }
}

impl Template {
    /// Splits a line at spaces; words in quotation marks stay whole and may be empty.
    pub fn of_line(line: &str) -> Result<Self, TemplateError> {
        Self::of_words(split(line)?)
    }

    /// Takes the words as they are.
    pub fn of_words(words: Vec<String>) -> Result<Self, TemplateError> {
        if words.is_empty() {
            return Err(TemplateError::Empty);
        }
        match words.iter().find_map(|word| unknown_placeholder(word)) {
            Some(name) => Err(TemplateError::UnknownPlaceholder { name }),
            None => Ok(Self { words }),
        }
    }

    /// Splits a line, and takes the words that name the primary, with the option before them, apart: they are only for
    /// a start as a replica.
    pub fn of_line_with_option(line: &str) -> Result<(Self, Option<Self>), TemplateError> {
        let words = Self::of_line(line)?.words;
        let names_primary = |word: &String| word.contains("{primary_");
        let Some(first) = words.iter().position(names_primary) else {
            return Ok((Self { words }, None));
        };
        let count = words[first..].iter().take_while(|word| names_primary(word));
        let end = first + count.count();
        let is_option = |at: usize| at > 0 && words[at].starts_with('-');
        let begin = first.checked_sub(1).filter(|at| is_option(*at));
        let option = begin.unwrap_or(first)..end;
        let rest = [&words[..option.start], &words[option.end..]].concat();
        Ok((
            Self::of_words(rest)?,
            Some(Self::of_words(words[option].to_vec())?),
        ))
    }

    /// What the program is called, without its folder.
    pub fn program_name(&self) -> String {
        let program = Path::new(&self.words[0]);
        let name = program.file_name().unwrap_or(program.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Puts another program in the place of the first word.
    pub fn replace_program(&mut self, program: &Path) {
        self.words[0] = program.display().to_string();
    }

    /// The words of one start.
    pub fn expand(&self, values: &Values) -> Vec<String> {
        self.words
            .iter()
            .map(|word| values.put_into(word))
            .collect()
    }
}

impl Values {
    fn put_into(&self, word: &str) -> String {
        let (host, port) = self.primary.clone().unwrap_or_default();
        let shown = |path: &Path| path.display().to_string();
        word.replace("{self}", &shown(&self.program))
            .replace("{port}", &self.port.to_string())
            .replace("{dir}", &shown(&self.dir))
            .replace("{era}", self.era)
            .replace("{primary_host}", &host)
            .replace("{primary_port}", &port.to_string())
    }
}

fn unknown_placeholder(word: &str) -> Option<String> {
    let inside = word
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name);
    inside
        .into_iter()
        .find(|name| !PLACEHOLDERS.contains(name))
        .map(str::to_owned)
}

fn split(line: &str) -> Result<Vec<String>, TemplateError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            space if space.is_whitespace() && !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    if quoted {
        return Err(TemplateError::OpenQuote {
            text: line.to_owned(),
        });
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_split_and_filled_in() {
        let template = Template::of_line(r#"{self}  run --port {port} --save "" --dir "{dir}" --to {primary_host}:{primary_port}"#).unwrap();
        let values = Values {
            program: "/bin/judge".into(),
            port: 7001,
            dir: "/tmp/a b".into(),
            era: "psync",
            primary: Some(("127.0.0.1".into(), 7002)),
        };
        let expected = [
            "/bin/judge",
            "run",
            "--port",
            "7001",
            "--save",
            "",
            "--dir",
            "/tmp/a b",
            "--to",
            "127.0.0.1:7002",
        ];
        assert_eq!(template.expand(&values), expected);
    }

    #[test]
    fn words_that_name_the_primary_are_for_a_replica_only() {
        let parts = |line| {
            let (command, option) = Template::of_line_with_option(line).unwrap();
            (
                command.words.join(" "),
                option.map(|option| option.words.join(" ")),
            )
        };
        let of = |command: &str, option: &str| (command.to_owned(), Some(option.to_owned()));
        assert_eq!(
            parts("srv --replicaof {primary_host} {primary_port} --port {port}"),
            of(
                "srv --port {port}",
                "--replicaof {primary_host} {primary_port}"
            )
        );
        assert_eq!(
            parts("srv {port} --of {primary_host}:{primary_port}"),
            of("srv {port}", "--of {primary_host}:{primary_port}")
        );
        assert_eq!(
            parts("srv {port} {primary_port}"),
            of("srv {port}", "{primary_port}")
        );
        assert_eq!(parts("srv {port}"), ("srv {port}".to_owned(), None));
    }

    #[test]
    fn bad_templates_are_refused() {
        assert_eq!(Template::of_line("  "), Err(TemplateError::Empty));
        assert_eq!(
            Template::of_line("a {host}"),
            Err(TemplateError::UnknownPlaceholder {
                name: "host".into()
            })
        );
        assert_eq!(
            Template::of_line("a \"b"),
            Err(TemplateError::OpenQuote {
                text: "a \"b".into()
            })
        );
    }
}
