//! Inline requests: a line of words, with the quoting that people use in `telnet`.
//!
//! Double quotes know `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a` and a backslash before anything else; single quotes know only
//! `\'`. A closing quote must be followed by a space or the end of the line.

use bytes::Bytes;

/// The words of a line, or `None` if its quotes do not balance.
pub(super) fn split(line: &[u8]) -> Option<Vec<Bytes>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = &rest[rest.iter().take_while(|byte| is_space(**byte)).count()..];
        // Redis treats the line as a C string, which ends at its first zero byte.
        if rest.first().is_none_or(|byte| *byte == 0) {
            return Some(words);
        }
        let (word, after) = take_word(rest)?;
        words.push(Bytes::from(word));
        rest = after;
    }
}

fn take_word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] | [0, ..] => return Some((word, rest)),
            [byte, ..] if is_space(*byte) => return Some((word, rest)),
            [b'"', after @ ..] => return take_quoted(after, word, b'"', double_quoted),
            [b'\'', after @ ..] => return take_quoted(after, word, b'\'', single_quoted),
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

/// One byte inside quotes and what follows it.
type Unquote = fn(&[u8]) -> Option<(u8, &[u8])>;

fn take_quoted(
    mut rest: &[u8],
    mut word: Vec<u8>,
    quote: u8,
    unquote: Unquote,
) -> Option<(Vec<u8>, &[u8])> {
    while *rest.first()? != quote {
        let (byte, after) = unquote(rest)?;
        word.push(byte);
        rest = after;
    }
    let after = &rest[1..];
    let ended = after
        .first()
        .is_none_or(|byte| is_space(*byte) || *byte == 0);
    ended.then_some((word, after))
}

fn double_quoted(rest: &[u8]) -> Option<(u8, &[u8])> {
    match rest {
        [b'\\', b'x', high, low, after @ ..]
            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
        {
            Some((hex(*high) << 4 | hex(*low), after))
        }
        [b'\\', escaped, after @ ..] => Some((escape(*escaped), after)),
        [byte, after @ ..] => Some((*byte, after)),
        [] => None,
    }
}

fn single_quoted(rest: &[u8]) -> Option<(u8, &[u8])> {
    match rest {
        [b'\\', b'\'', after @ ..] => Some((b'\'', after)),
        [byte, after @ ..] => Some((*byte, after)),
        [] => None,
    }
}

fn escape(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit)
        .to_digit(16)
        .map_or(0, |value| value as u8)
}

/// `isspace` in C, which has the vertical tab that Rust leaves out.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 11
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_follows_redis() {
        let table: [(&str, Option<&[&[u8]]>); 12] = [
            ("", Some(&[])),
            ("   ", Some(&[])),
            ("GET  a", Some(&[b"GET", b"a"])),
            (r#"SET a "x y""#, Some(&[b"SET", b"a", b"x y"])),
            (r#""\x41\n\q\"""#, Some(&[b"A\nq\""])),
            (r"'it\'s \n'", Some(&[br"it's \n"])),
            ("\"\"", Some(&[b""])),
            ("a\"b\" c", Some(&[b"ab", b"c"])),
            ("\"a\"b", None),
            ("\"a", None),
            ("'a", None),
            (r#""a\"#, None),
        ];
        for (line, words) in table {
            let expected = words.map(|words| {
                words
                    .iter()
                    .map(|word| Bytes::from_static(word))
                    .collect::<Vec<_>>()
            });
            assert_eq!(split(line.as_bytes()), expected, "{line}");
        }
    }
}
