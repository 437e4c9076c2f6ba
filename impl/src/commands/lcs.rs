//! `LCS`: what two strings have in common, in order.

use bytes::Bytes;

use super::parse::integer;
use super::{Call, CommandError, Reply};
use crate::keyspace::Blob;

/// Most cells of the table, four bytes each: as much memory as the longest string.
const MAX_CELLS: usize = 128 * 1024 * 1024;

#[derive(Debug, Default)]
struct Options {
    length_only: bool,
    matches: bool,
    shortest: usize,
    with_lengths: bool,
}

impl Options {
    fn parse(args: &[Bytes]) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut rest = args;
        while let Some((word, after)) = rest.split_first() {
            rest = after;
            match (&word.to_ascii_uppercase()[..], after) {
                (b"IDX", _) => options.matches = true,
                (b"LEN", _) => options.length_only = true,
                (b"WITHMATCHLEN", _) => options.with_lengths = true,
                (b"MINMATCHLEN", [length, after @ ..]) => {
                    options.shortest = usize::try_from(integer(length)?).unwrap_or(0);
                    rest = after;
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        if options.matches && options.length_only {
            return Err(CommandError::Refused(
                "If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

/// A run that both strings have: where it ends in each (exclusive), and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    ends: (usize, usize),
    length: usize,
}

pub(super) fn lcs(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let wrong = CommandError::Refused("The specified keys must contain string values");
    let string = |call: &mut Call<'_, '_>, key| match call.string(key) {
        Ok(bytes) => Ok(bytes.unwrap_or(Blob::EMPTY)),
        Err(_) => Err(wrong.clone()),
    };
    let one = string(call, call.arg(1))?;
    let other = string(call, call.arg(2))?;
    let options = Options::parse(&call.args[3..])?;
    if (one.len() + 1).saturating_mul(other.len() + 1) > MAX_CELLS {
        return Err(CommandError::Refused(
            "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let (common, runs) = common(&one, &other);
    Ok(if options.length_only {
        Reply::Integer(common.len() as i64)
    } else if options.matches {
        let runs = runs
            .into_iter()
            .filter(|run| run.length >= options.shortest);
        let runs = runs.map(|run| run_reply(run, options.with_lengths));
        let length = Reply::Integer(common.len() as i64);
        Reply::Map(vec![
            (Reply::text("matches"), Reply::Array(runs.collect())),
            (Reply::text("len"), length),
        ])
    } else {
        Reply::Bulk(Bytes::from(common))
    })
}

fn run_reply(run: Run, with_length: bool) -> Reply {
    let number = |number: usize| Reply::Integer(number as i64);
    let range = |end| Reply::Array(vec![number(end - run.length), number(end - 1)]);
    let mut parts = vec![range(run.ends.0), range(run.ends.1)];
    parts.extend(with_length.then(|| number(run.length)));
    Reply::Array(parts)
}

/// The longest common subsequence, and the runs that it is made of, last first.
fn common(one: &[u8], other: &[u8]) -> (Vec<u8>, Vec<Run>) {
    let width = other.len() + 1;
    let mut table = vec![0_u32; (one.len() + 1) * width];
    for row in 1..=one.len() {
        for column in 1..=other.len() {
            let here = row * width + column;
            table[here] = if one[row - 1] == other[column - 1] {
                table[here - width - 1] + 1
            } else {
                table[here - width].max(table[here - 1])
            };
        }
    }
    let (mut row, mut column) = (one.len(), other.len());
    let (mut common, mut runs) = (Vec::new(), Vec::<Run>::new());
    while row > 0 && column > 0 {
        if one[row - 1] == other[column - 1] {
            common.push(one[row - 1]);
            match runs.last_mut() {
                Some(run) if run.ends == (row + run.length, column + run.length) => run.length += 1,
                _ => runs.push(Run {
                    ends: (row, column),
                    length: 1,
                }),
            }
            (row, column) = (row - 1, column - 1);
        } else if table[(row - 1) * width + column] > table[row * width + column - 1] {
            row -= 1;
        } else {
            column -= 1;
        }
    }
    common.reverse();
    (common, runs)
}
