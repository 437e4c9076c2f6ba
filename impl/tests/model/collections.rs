//! Lists, hashes and sets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    Answer, Done, Kind, Model, NO_SUCH_KEY, Value, array, bulk, bulk_or_null, int, null, number,
    ok, set, span,
};

type List = VecDeque<String>;
type Hash = BTreeMap<String, String>;
type Set = BTreeSet<String>;

fn push(list: &mut List, end: &str, element: &str) {
    match end {
        "LEFT" => list.push_front(element.into()),
        _ => list.push_back(element.into()),
    }
}

fn pop(list: &mut List, end: &str) -> Option<String> {
    match end {
        "LEFT" => list.pop_front(),
        _ => list.pop_back(),
    }
}

/// The end that the first letter of a command names.
fn end_of(command: &str) -> &'static str {
    if command.starts_with('L') {
        "LEFT"
    } else {
        "RIGHT"
    }
}

impl Model {
    /// What is under a key, or something empty.
    fn read_or_empty<T: Kind + Clone>(&mut self, key: &str) -> Result<T, &'static str> {
        self.read(key).map(Option::unwrap_or_default)
    }

    pub(super) fn lists(&mut self, words: &[&str]) -> Option<Done> {
        Some(match *words {
            [name @ ("LPUSH" | "RPUSH"), key, ref elements @ ..] => {
                self.edit(key, |list: &mut List| {
                    for element in elements {
                        push(list, end_of(name), element);
                    }
                    int(list.len())
                })
            }
            [name @ ("LPOP" | "RPOP"), key] => self.edit(key, |list: &mut List| {
                bulk_or_null(pop(list, end_of(name)).as_ref())
            }),
            [name @ ("LPOP" | "RPOP"), key, count] => self.edit(key, |list: &mut List| {
                if list.is_empty() {
                    return null();
                }
                array((0..number(count)).map_while(|_| pop(list, end_of(name))))
            }),
            ["LLEN", key] => self.read_or_empty(key).map(|list: List| int(list.len())),
            ["LINDEX", key, index] => self.read_or_empty(key).map(|list: List| {
                let mut found = list.range(span(index, index, list.len()));
                bulk_or_null(found.next())
            }),
            ["LRANGE", key, start, stop] => self
                .read_or_empty(key)
                .map(|list: List| array(list.range(span(start, stop, list.len())))),
            ["LTRIM", key, start, stop] => self.edit(key, |list: &mut List| {
                *list = list.range(span(start, stop, list.len())).cloned().collect();
                ok()
            }),
            ["LINSERT", key, place, pivot, element] => self.edit(key, |list: &mut List| {
                let Some(at) = list.iter().position(|known| known == pivot) else {
                    return int(if list.is_empty() { 0 } else { -1 });
                };
                list.insert(at + usize::from(place == "AFTER"), element.into());
                int(list.len())
            }),
            ["LREM", key, count, element] => self.edit(key, |list: &mut List| {
                int(remove(list, number(count), element))
            }),
            ["LSET", key, index, element] => self.set_element(key, index, element),
            ["LMOVE", source, target, from, to] => self.move_element(source, target, from, to),
            _ => return None,
        })
    }

    fn set_element(&mut self, key: &str, index: &str, element: &str) -> Done {
        let list: Option<List> = self.read(key)?;
        let length = list.ok_or(NO_SUCH_KEY)?.len();
        let at = span(index, index, length);
        if at.is_empty() {
            return Err("ERR index out of range");
        }
        self.edit(key, |list: &mut List| {
            list[at.start] = element.into();
            ok()
        })
    }

    fn move_element(&mut self, source: &str, target: &str, from: &str, to: &str) -> Done {
        if self.read::<List>(source)?.is_none() {
            return Ok(null());
        }
        self.read::<List>(target)?;
        if source == target {
            // Never empty meanwhile: the key keeps its deadline.
            return self.edit(source, |list: &mut List| {
                let element = pop(list, from).expect("no list is empty");
                push(list, to, &element);
                bulk(&element)
            });
        }
        let element = self.edit(source, |list: &mut List| pop(list, from))?;
        let element = element.expect("no list is empty");
        self.edit(target, |list: &mut List| push(list, to, &element))?;
        Ok(bulk(&element))
    }

    pub(super) fn hashes(&mut self, words: &[&str]) -> Option<Done> {
        Some(match *words {
            ["HSET", key, ref pairs @ ..] => self.edit(key, |hash: &mut Hash| {
                let pairs = pairs.as_chunks::<2>().0.iter();
                let new = |pair: &&[&str; 2]| hash.insert(pair[0].into(), pair[1].into()).is_none();
                int(pairs.filter(new).count())
            }),
            ["HSETNX", key, field, value] => self.edit(key, |hash: &mut Hash| {
                let new = !hash.contains_key(field);
                hash.entry(field.into()).or_insert_with(|| value.into());
                int(i64::from(new))
            }),
            ["HGET", key, field] => self
                .read_or_empty(key)
                .map(|hash: Hash| bulk_or_null(hash.get(field))),
            ["HDEL", key, ref fields @ ..] => self.edit(key, |hash: &mut Hash| {
                int(fields
                    .iter()
                    .filter(|field| hash.remove(**field).is_some())
                    .count())
            }),
            ["HLEN", key] => self.read_or_empty(key).map(|hash: Hash| int(hash.len())),
            ["HGETALL", key] => self.read_or_empty(key).map(|hash: Hash| {
                let pairs = hash.iter().map(|(field, value)| (bulk(field), bulk(value)));
                Answer::Map(pairs.collect())
            }),
            ["HINCRBY", key, field, amount] => self.increment_field(key, field, number(amount)),
            _ => return None,
        })
    }

    fn increment_field(&mut self, key: &str, field: &str, amount: i64) -> Done {
        let hash: Hash = self.read_or_empty(key)?;
        let old = hash.get(field).map_or("0", String::as_str);
        let old: i64 = old
            .parse()
            .map_err(|_| "ERR hash value is not an integer")?;
        let sum = old + amount;
        self.edit(key, |hash: &mut Hash| {
            hash.insert(field.into(), sum.to_string());
            int(sum)
        })
    }

    pub(super) fn sets(&mut self, words: &[&str]) -> Option<Done> {
        Some(match *words {
            ["SADD", key, ref members @ ..] => self.edit(key, |set: &mut Set| {
                int(members
                    .iter()
                    .filter(|member| set.insert((**member).into()))
                    .count())
            }),
            ["SREM", key, ref members @ ..] => self.edit(key, |set: &mut Set| {
                int(members.iter().filter(|member| set.remove(**member)).count())
            }),
            ["SCARD", key] => self.read_or_empty(key).map(|set: Set| int(set.len())),
            ["SISMEMBER", key, member] => self
                .read_or_empty(key)
                .map(|set: Set| int(i64::from(set.contains(member)))),
            ["SMEMBERS", key] => self.read_or_empty(key).map(|members: Set| set(members)),
            ["SMOVE", source, target, member] => self.move_member(source, target, member),
            [name @ ("SINTER" | "SUNION" | "SDIFF"), one, other] => {
                self.combine(name, one, other).map(set)
            }
            [
                name @ ("SINTERSTORE" | "SUNIONSTORE" | "SDIFFSTORE"),
                target,
                one,
                other,
            ] => {
                let name = name.trim_end_matches("STORE");
                self.combine(name, one, other).map(|result| {
                    let length = result.len();
                    self.put(target, Value::Set(result), None);
                    int(length)
                })
            }
            _ => return None,
        })
    }

    fn combine(&mut self, name: &str, one: &str, other: &str) -> Result<Set, &'static str> {
        let one: Set = self.read_or_empty(one)?;
        let other: Set = self.read_or_empty(other)?;
        Ok(match name {
            "SINTER" => &one & &other,
            "SUNION" => &one | &other,
            _ => &one - &other,
        })
    }

    fn move_member(&mut self, source: &str, target: &str, member: &str) -> Done {
        if self.read::<Set>(source)?.is_none() {
            return Ok(int(0));
        }
        self.read::<Set>(target)?;
        if !self.edit(source, |set: &mut Set| set.remove(member))? {
            return Ok(int(0));
        }
        self.edit(target, |set: &mut Set| set.insert(member.into()))?;
        Ok(int(1))
    }

    /// What chance decided: anything that it could have chosen is right.
    pub(super) fn chosen(&mut self, words: &[&str], heard: &Answer) -> Option<Done> {
        let (["SPOP" | "SRANDMEMBER", key], Answer::Bulk(Some(chosen))) = (words, heard) else {
            return match *words {
                ["SPOP" | "SRANDMEMBER", key] => Some(match self.read::<Set>(key) {
                    Ok(None) => Ok(null()),
                    Ok(Some(_)) => Err("a member had to be chosen"),
                    Err(text) => Err(text),
                }),
                _ => None,
            };
        };
        let chosen = String::from_utf8_lossy(chosen).into_owned();
        Some(self.edit(key, |set: &mut Set| {
            let possible = if words[0] == "SPOP" {
                set.remove(&chosen)
            } else {
                set.contains(&chosen)
            };
            if possible { bulk(&chosen) } else { null() }
        }))
    }
}

/// Removes elements that are equal to one, at most so many, from the end if the number is negative; all if it is 0.
fn remove(list: &mut List, count: i64, element: &str) -> usize {
    let limit = if count == 0 {
        usize::MAX
    } else {
        count.unsigned_abs() as usize
    };
    let mut removed = 0;
    let mut keep = |known: &String| {
        let goes = known == element && removed < limit;
        removed += usize::from(goes);
        !goes
    };
    if count < 0 {
        let kept: List = list
            .iter()
            .rev()
            .filter(|known| keep(known))
            .cloned()
            .collect();
        *list = kept.into_iter().rev().collect();
    } else {
        list.retain(keep);
    }
    removed
}
