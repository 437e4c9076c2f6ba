//! Replies as values, read from bytes.

// Helpers of tests may fail loudly like tests; the lint knows only functions marked as tests.
#![allow(clippy::unwrap_used)]

use std::io::BufRead;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answer {
    Line(String),
    Bulk(Option<Vec<u8>>),
    Array(Option<Vec<Answer>>),
    Set(Vec<Answer>),
    Map(Vec<(Answer, Answer)>),
}

/// Reads one reply in RESP2 or RESP3; there absences and doubles are lines.
pub(crate) fn read_answer(input: &mut impl BufRead) -> Answer {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line).unwrap();
    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
    let length = line
        .get(1..)
        .and_then(|number| number.parse::<usize>().ok());
    match (line.as_bytes().first(), length) {
        (Some(b'$'), Some(length)) => {
            let mut bulk = vec![0; length + 2];
            input.read_exact(&mut bulk).unwrap();
            bulk.truncate(length);
            Answer::Bulk(Some(bulk))
        }
        (Some(b'$'), None) => Answer::Bulk(None),
        (Some(b'*'), Some(count)) => {
            Answer::Array(Some((0..count).map(|_| read_answer(input)).collect()))
        }
        (Some(b'~'), Some(count)) => Answer::Set((0..count).map(|_| read_answer(input)).collect()),
        (Some(b'%'), Some(count)) => {
            let pairs = (0..count).map(|_| (read_answer(input), read_answer(input)));
            Answer::Map(pairs.collect())
        }
        (Some(b'*'), None) => Answer::Array(None),
        _ => Answer::Line(line),
    }
}
