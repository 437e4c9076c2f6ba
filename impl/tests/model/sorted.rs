//! Sorted sets. One function names every command of theirs, and is as long as the list.

use std::collections::BTreeMap;

use super::{Answer, Done, Model, Value, WRONG_TYPE, array, bulk, double, int, null, number, span};

type Sorted = BTreeMap<String, f64>;

/// The members in their order: by score, then by bytes.
fn ranked(sorted: &Sorted) -> Vec<(String, f64)> {
    let mut members: Vec<_> = sorted.clone().into_iter().collect();
    members.sort_by(|one, other| one.1.total_cmp(&other.1).then_with(|| one.0.cmp(&other.0)));
    members
}

fn score(text: &str) -> f64 {
    text.parse().expect("the test gives scores")
}

fn scored(members: &[(String, f64)]) -> Answer {
    let pair =
        |(member, score): &(String, f64)| Answer::Array(Some(vec![bulk(member), double(*score)]));
    Answer::Array(Some(members.iter().map(pair).collect()))
}

/// Where a member stands.
fn rank(members: &[(String, f64)], member: &str) -> Answer {
    let at = members.iter().position(|(known, _)| known == member);
    at.map_or_else(null, int)
}

impl Model {
    fn sorted(&mut self, key: &str) -> Result<Sorted, &'static str> {
        self.read(key).map(Option::unwrap_or_default)
    }

    pub(super) fn sorted_sets(&mut self, words: &[&str]) -> Option<Done> {
        Some(match *words {
            ["ZADD", key, ref rest @ ..] => self.add_scored(key, rest),
            ["ZINCRBY", key, amount, member] => self.edit(key, |sorted: &mut Sorted| {
                let sum = sorted.entry(member.into()).or_insert(0.0);
                *sum += score(amount);
                double(*sum)
            }),
            ["ZREM", key, ref members @ ..] => self.edit(key, |sorted: &mut Sorted| {
                int(members
                    .iter()
                    .filter(|member| sorted.remove(**member).is_some())
                    .count())
            }),
            ["ZCARD", key] => self.sorted(key).map(|sorted| int(sorted.len())),
            ["ZSCORE", key, member] => self
                .sorted(key)
                .map(|sorted| sorted.get(member).map_or_else(null, |score| double(*score))),
            ["ZRANK", key, member] => self
                .sorted(key)
                .map(|sorted| rank(&ranked(&sorted), member)),
            ["ZREVRANK", key, member] => self.sorted(key).map(|sorted| {
                let backwards: Vec<_> = ranked(&sorted).into_iter().rev().collect();
                rank(&backwards, member)
            }),
            ["ZRANGE", key, start, stop] => self.sorted(key).map(|sorted| {
                let members = ranked(&sorted);
                array(
                    members[span(start, stop, members.len())]
                        .iter()
                        .map(|(member, _)| member),
                )
            }),
            ["ZRANGE", key, start, stop, "WITHSCORES"] => self.sorted(key).map(|sorted| {
                let members = ranked(&sorted);
                scored(&members[span(start, stop, members.len())])
            }),
            ["ZRANGEBYSCORE", key, least, most] => self.sorted(key).map(|sorted| {
                let range = score(least)..=score(most);
                let within = ranked(&sorted)
                    .into_iter()
                    .filter(|(_, score)| range.contains(score));
                array(within.map(|(member, _)| member))
            }),
            ["ZCOUNT", key, least, most] => self.sorted(key).map(|sorted| {
                let range = score(least)..=score(most);
                int(sorted
                    .values()
                    .filter(|score| range.contains(*score))
                    .count())
            }),
            ["ZPOPMIN", key] => self.edit(key, |sorted: &mut Sorted| {
                let Some((member, score)) = ranked(sorted).into_iter().next() else {
                    return Answer::Array(Some(Vec::new()));
                };
                sorted.remove(&member);
                Answer::Array(Some(vec![bulk(&member), double(score)]))
            }),
            ["ZPOPMAX", key, count] => self.edit(key, |sorted: &mut Sorted| {
                let highest = ranked(sorted).into_iter().rev();
                let popped: Vec<_> = highest.take(number(count) as usize).collect();
                for (member, _) in &popped {
                    sorted.remove(member);
                }
                scored(&popped)
            }),
            ["ZREMRANGEBYRANK", key, start, stop] => self.edit(key, |sorted: &mut Sorted| {
                let members = ranked(sorted);
                let gone = &members[span(start, stop, members.len())];
                for (member, _) in gone {
                    sorted.remove(member);
                }
                int(gone.len())
            }),
            ["ZUNIONSTORE", target, "2", one, other] => self.unite(target, one, other),
            _ => return None,
        })
    }

    fn add_scored(&mut self, key: &str, rest: &[&str]) -> Done {
        let (condition, pairs) = match *rest {
            [condition @ ("NX" | "XX" | "GT" | "LT"), ref pairs @ ..] => (condition, pairs),
            ref pairs => ("", pairs),
        };
        self.edit(key, |sorted: &mut Sorted| {
            let mut new = 0;
            for [given, member] in pairs.as_chunks::<2>().0 {
                let (given, known) = (score(given), sorted.get(*member).copied());
                let allowed = match (condition, known) {
                    ("NX", known) => known.is_none(),
                    ("XX", known) => known.is_some(),
                    ("GT", Some(known)) => given > known,
                    ("LT", Some(known)) => given < known,
                    _ => true,
                };
                if allowed {
                    sorted.insert((*member).into(), given);
                    new += i64::from(known.is_none());
                }
            }
            int(new)
        })
    }

    /// The sum of two sorted sets, or of sets, whose members count one.
    fn unite(&mut self, target: &str, one: &str, other: &str) -> Done {
        let mut sum = Sorted::new();
        for key in [one, other] {
            let members: Vec<(String, f64)> = match self.slots().get(key).map(|slot| &slot.value) {
                None => Vec::new(),
                Some(Value::Sorted(sorted)) => sorted.clone().into_iter().collect(),
                Some(Value::Set(set)) => set.iter().map(|member| (member.clone(), 1.0)).collect(),
                Some(_) => return Err(WRONG_TYPE),
            };
            for (member, score) in members {
                *sum.entry(member).or_insert(0.0) += score;
            }
        }
        let length = sum.len();
        self.put(target, Value::Sorted(sum), None);
        Ok(int(length))
    }
}
