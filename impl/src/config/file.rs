//! The configuration file: lines of words as Redis reads them, and the file that `CONFIG REWRITE` makes of another.

use std::collections::BTreeMap;

use super::first_name;

/// Directives whose value is several words; all others are one word, in quotes where it needs them.
const SEVERAL_WORDS: [&str; 4] = ["bind", "save", "replicaof", "client-output-buffer-limit"];

/// The line above what `CONFIG REWRITE` adds.
const ADDED: &str = "# Added by CONFIG REWRITE";

/// A line that is not one of the configuration file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} has a quotation mark that is not closed, or text right behind one")]
pub struct UnbalancedQuotes {
    /// Its number, from 1.
    pub line: usize,
}

/// The directives of a file in order, names in lower case, words joined by spaces. Lines of `save` and of
/// `client-output-buffer-limit` add up, of others the last one counts, which is the caller's business.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, UnbalancedQuotes> {
    let mut directives = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words = split_line(line).ok_or(UnbalancedQuotes { line: index + 1 })?;
        if let Some((name, values)) = words.split_first() {
            directives.push((name.to_ascii_lowercase(), values.join(" ")));
        }
    }
    Ok(directives)
}

/// The words of a line; none if it is blank or a comment, `None` if its quotes do not match.
fn split_line(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    if line.starts_with('#') {
        return Some(Vec::new());
    }
    let (mut words, mut rest) = (Vec::new(), line.chars().peekable());
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        match rest.peek() {
            None => return Some(words),
            Some(&quote @ ('"' | '\'')) => {
                rest.next();
                words.push(quoted(&mut rest, quote)?);
                if rest.peek().is_some_and(|c| !c.is_whitespace()) {
                    return None;
                }
            }
            Some(_) => {
                let mut word = String::new();
                while let Some(c) = rest.next_if(|c| !c.is_whitespace()) {
                    word.push(c);
                }
                words.push(word);
            }
        }
    }
}

/// The text up to the closing quotation mark. Escapes are those of Redis, but for bytes that are no text.
fn quoted(rest: &mut impl Iterator<Item = char>, quote: char) -> Option<String> {
    let mut word = String::new();
    loop {
        match rest.next()? {
            c if c == quote => return Some(word),
            '\\' => match rest.next()? {
                'n' if quote == '"' => word.push('\n'),
                'r' if quote == '"' => word.push('\r'),
                't' if quote == '"' => word.push('\t'),
                c if quote == '"' || c == quote => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

/// The old file with the values that differ from the defaults. Comments, order and directives that are not ours stay;
/// a directive that has its default again stays if its line was there; a second line of the same directive goes.
pub fn rewrite(
    old: &str,
    changed: &[(&'static str, String)],
    current: impl Fn(&str) -> Option<String>,
) -> String {
    let mut pending: BTreeMap<&str, &String> =
        changed.iter().map(|(name, value)| (*name, value)).collect();
    let (mut lines, mut written) = (Vec::new(), Vec::new());
    for line in old.lines() {
        let words = split_line(line).unwrap_or_default();
        let Some(name) = words.first().and_then(|word| first_name(word)) else {
            lines.push(line.to_owned());
            continue;
        };
        let value = pending.remove(name).cloned().or_else(|| current(name));
        if !written.contains(&name)
            && let Some(value) = value.filter(|value| stands(name, value))
        {
            lines.push(write_line(name, &value));
        }
        written.push(name);
    }
    let added: Vec<String> = pending
        .iter()
        .filter(|(name, value)| stands(name, value))
        .map(|(name, value)| write_line(name, value))
        .collect();
    if !added.is_empty() && !lines.iter().any(|line| line == ADDED) {
        lines.push(ADDED.to_owned());
    }
    lines.extend(added);
    lines.join("\n") + "\n"
}

/// A primary's file has no line about its primary.
fn stands(name: &str, value: &str) -> bool {
    name != "replicaof" || !value.is_empty()
}

fn write_line(name: &str, value: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | '#');
    let bare = SEVERAL_WORDS.contains(&name) || value.chars().all(plain);
    if bare && !value.is_empty() {
        return format!("{name} {value}");
    }
    let mut text = String::new();
    for c in value.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '"' | '\\' => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    format!("{name} \"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_redis_reads_them() {
        let text = "# a comment\n\n  Port 7000\nsave \"\"\nrequirepass \"a \\\"b\\\" c\"\nlogfile ''\nsave 900 1\n";
        let expected = [
            ("port", "7000"),
            ("save", ""),
            ("requirepass", "a \"b\" c"),
            ("logfile", ""),
            ("save", "900 1"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn open_quotes_are_an_error_with_its_line() {
        assert_eq!(parse("port 1\ndir \"/x"), Err(UnbalancedQuotes { line: 2 }));
        assert_eq!(parse("dir \"/x\"y"), Err(UnbalancedQuotes { line: 1 }));
    }

    #[test]
    fn a_rewritten_file_keeps_what_is_not_ours_and_says_the_rest_once() {
        let old =
            "# mine\nport 7000\nsave 900 1\nsave 300 10\nslaveof 127.0.0.1 1\nno-such-thing 1\n";
        let changed = [
            ("port", "7000".to_owned()),
            ("replicaof", "127.0.0.1 2".to_owned()),
            ("requirepass", "a b".to_owned()),
        ];
        let new = rewrite(old, &changed, |name| (name == "save").then(String::new));
        let expected = "# mine\nport 7000\nsave \"\"\nreplicaof 127.0.0.1 2\nno-such-thing 1\n\
            # Added by CONFIG REWRITE\nrequirepass \"a b\"\n";
        assert_eq!(new, expected);
        assert_eq!(
            rewrite(&new, &changed, |name| (name == "save").then(String::new)),
            new
        );
    }

    #[test]
    fn a_promoted_replica_loses_its_line() {
        let new = rewrite(
            "replicaof a 1\nport 1\n",
            &[("port", "1".to_owned())],
            |_| Some(String::new()),
        );
        assert_eq!(new, "port 1\n");
    }
}
