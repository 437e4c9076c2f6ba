//! Ranges of sorted sets: by rank, by score and in the order of bytes.

use bytes::Bytes;

use super::parse::{index_range, integer};
use super::sorted_sets::{members_reply, read};
use super::{Call, CommandError, Reply};
use crate::keyspace::SortedSet;
use crate::numbers::parse_float;

/// By what a range is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Bytes,
}

/// An end of a range of scores: the score, and whether it belongs to the range.
#[derive(Debug, Clone, Copy)]
struct ScoreEnd {
    score: f64,
    included: bool,
}

impl ScoreEnd {
    fn parse(text: &[u8]) -> Result<Self, CommandError> {
        let (text, included) = match text.strip_prefix(b"(") {
            Some(rest) => (rest, false),
            None => (text, true),
        };
        let score = parse_float(text);
        let score = score.ok_or(CommandError::Refused("min or max is not a float"))?;
        Ok(Self { score, included })
    }

    /// Whether a score lies before a range that starts here.
    fn starts_after(self, score: f64) -> bool {
        score < self.score || !self.included && score <= self.score
    }

    /// Whether a score lies before the end of a range that ends here.
    fn ends_after(self, score: f64) -> bool {
        score < self.score || self.included && score <= self.score
    }
}

/// An end of a range of members in the order of their bytes.
#[derive(Debug, Clone, Copy)]
enum BytesEnd<'a> {
    Lowest,
    Highest,
    Included(&'a [u8]),
    Excluded(&'a [u8]),
}

impl<'a> BytesEnd<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, CommandError> {
        match text {
            b"-" => Ok(Self::Lowest),
            b"+" => Ok(Self::Highest),
            [b'[', rest @ ..] => Ok(Self::Included(rest)),
            [b'(', rest @ ..] => Ok(Self::Excluded(rest)),
            _ => Err(CommandError::Refused(
                "min or max not valid string range item",
            )),
        }
    }

    fn starts_after(self, member: &[u8]) -> bool {
        match self {
            Self::Lowest => false,
            Self::Highest => true,
            Self::Included(start) => member < start,
            Self::Excluded(start) => member <= start,
        }
    }

    fn ends_after(self, member: &[u8]) -> bool {
        match self {
            Self::Lowest => false,
            Self::Highest => true,
            Self::Included(end) => member <= end,
            Self::Excluded(end) => member < end,
        }
    }
}

/// A range as it is given, understood.
#[derive(Debug, Clone, Copy)]
enum Range<'a> {
    Ranks(i64, i64),
    Scores(ScoreEnd, ScoreEnd),
    Bytes(BytesEnd<'a>, BytesEnd<'a>),
}

impl<'a> Range<'a> {
    fn parse(by: By, start: &'a [u8], end: &'a [u8]) -> Result<Self, CommandError> {
        Ok(match by {
            By::Rank => Self::Ranks(integer(start)?, integer(end)?),
            By::Score => Self::Scores(ScoreEnd::parse(start)?, ScoreEnd::parse(end)?),
            By::Bytes => Self::Bytes(BytesEnd::parse(start)?, BytesEnd::parse(end)?),
        })
    }

    /// The half-open range of ranks that it means in a set; ranks given are counted from the end if `reverse`.
    fn ranks(self, set: &SortedSet, reverse: bool) -> (usize, usize) {
        let (start, end) = match self {
            Self::Ranks(start, stop) => {
                let (start, end) = index_range(start, stop, set.len());
                return if reverse {
                    (set.len() - end, set.len() - start)
                } else {
                    (start, end)
                };
            }
            Self::Scores(start, end) => (
                set.count_before(|score, _| start.starts_after(score)),
                set.count_before(|score, _| end.ends_after(score)),
            ),
            Self::Bytes(start, end) => (
                set.count_before(|_, member| start.starts_after(member)),
                set.count_before(|_, member| end.ends_after(member)),
            ),
        };
        (start, end.max(start))
    }
}

/// What a command of the family asks for.
#[derive(Debug)]
struct Query {
    by: By,
    reverse: bool,
    /// Members to pass over, and the most to tell, all if negative.
    limit: (i64, i64),
    with_scores: bool,
}

impl Query {
    fn new(by: By, reverse: bool) -> Self {
        Self {
            by,
            reverse,
            limit: (0, -1),
            with_scores: false,
        }
    }

    /// `open` lets the options say by what the range is given and in which direction, as those of `ZRANGE` may.
    fn options(mut self, args: &[Bytes], open: bool, stores: bool) -> Result<Self, CommandError> {
        let mut rest = args;
        while let Some((word, after)) = rest.split_first() {
            rest = after;
            match (&word.to_ascii_uppercase()[..], after) {
                (b"WITHSCORES", _) if !stores => self.with_scores = true,
                (b"LIMIT", [offset, count, after @ ..]) => {
                    self.limit = (integer(offset)?, integer(count)?);
                    rest = after;
                }
                (b"REV", _) if open => self.reverse = true,
                (b"BYSCORE", _) if open => self.by = By::Score,
                (b"BYLEX", _) if open => self.by = By::Bytes,
                _ => return Err(CommandError::Syntax),
            }
        }
        if self.limit.1 != -1 && self.by == By::Rank {
            return Err(CommandError::Refused(
                "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if self.with_scores && self.by == By::Bytes {
            return Err(CommandError::Refused(
                "syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        Ok(self)
    }

    /// Ends are given from high to low when the order is reversed, except for ranks.
    fn range<'a>(&self, start: &'a [u8], end: &'a [u8]) -> Result<Range<'a>, CommandError> {
        if self.reverse && self.by != By::Rank {
            Range::parse(self.by, end, start)
        } else {
            Range::parse(self.by, start, end)
        }
    }

    /// The ranks asked for; they are read from the end if the order is reversed.
    fn ranks(&self, range: Range<'_>, set: &SortedSet) -> (usize, usize) {
        let (start, end) = range.ranks(set, self.reverse);
        let (offset, limit) = self.limit;
        // A negative offset passes over everything, as in Redis.
        let offset = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(end - start);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let length = limit.min(end - start - offset);
        if self.reverse {
            (end - offset - length, end - offset)
        } else {
            (start + offset, start + offset + length)
        }
    }
}

fn tell(call: &mut Call<'_, '_>, query: Query, open: bool) -> Result<Reply, CommandError> {
    let query = query.options(&call.args[4..], open, false)?;
    let range = query.range(call.arg(2), call.arg(3))?;
    let set = read(call)?;
    let (start, end) = query.ranks(range, &set);
    let members = set.range(start, end);
    Ok(if query.reverse {
        members_reply(members.rev(), query.with_scores)
    } else {
        members_reply(members, query.with_scores)
    })
}

pub(super) fn zrange(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    tell(call, Query::new(By::Rank, false), true)
}

pub(super) fn zrevrange(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    tell(call, Query::new(By::Rank, true), false)
}

pub(super) fn zrangebyscore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    tell(call, Query::new(By::Score, false), false)
}

pub(super) fn zrevrangebyscore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    tell(call, Query::new(By::Score, true), false)
}

pub(super) fn zrangebylex(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    tell(call, Query::new(By::Bytes, false), false)
}

pub(super) fn zrevrangebylex(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    tell(call, Query::new(By::Bytes, true), false)
}

pub(super) fn zrangestore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let query = Query::new(By::Rank, false).options(&call.args[5..], true, true)?;
    let range = query.range(call.arg(3), call.arg(4))?;
    let set: SortedSet = call.collection(call.arg(2))?.unwrap_or_default();
    let (start, end) = query.ranks(range, &set);
    let result: SortedSet = set.range(start, end).collect();
    call.put_result(call.arg(1), result);
    Ok(Reply::Integer((end - start) as i64))
}

pub(super) fn zcount(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    count(call, By::Score)
}

pub(super) fn zlexcount(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    count(call, By::Bytes)
}

fn count(call: &mut Call<'_, '_>, by: By) -> Result<Reply, CommandError> {
    let range = Range::parse(by, call.arg(2), call.arg(3))?;
    let (start, end) = range.ranks(&read(call)?, false);
    Ok(Reply::Integer((end - start) as i64))
}

pub(super) fn zremrangebyrank(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    remove(call, By::Rank)
}

pub(super) fn zremrangebyscore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    remove(call, By::Score)
}

pub(super) fn zremrangebylex(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    remove(call, By::Bytes)
}

fn remove(call: &mut Call<'_, '_>, by: By) -> Result<Reply, CommandError> {
    let range = Range::parse(by, call.arg(2), call.arg(3))?;
    let removed = call.edit(call.arg(1), |set: &mut SortedSet| {
        let (start, end) = range.ranks(set, false);
        for rank in (start..end).rev() {
            set.remove_at(rank);
        }
        end - start
    })?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        call.propagate_verbatim();
    }
    Ok(Reply::Integer(removed as i64))
}
