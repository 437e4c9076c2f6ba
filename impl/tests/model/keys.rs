//! Keys, whatever they hold, and databases. One function names every command of theirs, and is as long as the list.

use super::{Answer, Done, Model, NO_SUCH_KEY, SAME_OBJECT, int, number, ok};

impl Model {
    pub(super) fn keys(&mut self, words: &[&str]) -> Option<Done> {
        Some(match *words {
            ["DEL", ref keys @ ..] => {
                let removed = keys
                    .iter()
                    .filter(|key| self.slots().remove(**key).is_some());
                Ok(int(removed.count()))
            }
            ["EXISTS", key] => Ok(int(i64::from(self.has(key)))),
            ["TYPE", key] => {
                let kind = self
                    .slots()
                    .get(key)
                    .map_or("none", |slot| slot.value.type_name());
                Ok(Answer::Line(format!("+{kind}")))
            }
            ["RENAME", from, to] => self.rename(from, to).map(|()| ok()),
            ["RENAMENX", from, to] if self.has(from) && self.has(to) => Ok(int(0)),
            ["RENAMENX", from, to] => self.rename(from, to).map(|()| int(1)),
            ["COPY", from, to, "REPLACE"] if from == to => Err(SAME_OBJECT),
            ["COPY", from, to, "REPLACE"] => {
                let slot = self.slots().get(from).cloned();
                let copied = slot.map(|slot| self.slots().insert(to.into(), slot));
                Ok(int(i64::from(copied.is_some())))
            }
            ["PEXPIRE", key, wait_ms] => {
                let deadline_ms = self.now_ms + number(wait_ms) as u64;
                let Some(slot) = self.slots().get_mut(key) else {
                    return Some(Ok(int(0)));
                };
                slot.deadline_ms = Some(deadline_ms);
                if number(wait_ms) == 0 {
                    self.slots().remove(key);
                }
                Ok(int(1))
            }
            ["PERSIST", key] => {
                let slot = self.slots().get_mut(key);
                let deadline = slot.and_then(|slot| slot.deadline_ms.take());
                Ok(int(i64::from(deadline.is_some())))
            }
            ["PTTL", key] => {
                let now_ms = self.now_ms;
                let slot = self.slots().get(key);
                let left = slot.map(|slot| slot.deadline_ms.map_or(-1, |at| (at - now_ms) as i64));
                Ok(int(left.unwrap_or(-2)))
            }
            ["SELECT", database] => {
                self.selected = number(database) as usize;
                Ok(ok())
            }
            ["MOVE", key, database] => self.move_key(key, number(database) as usize),
            ["SWAPDB", "0", "1"] => {
                self.databases.swap(0, 1);
                Ok(ok())
            }
            ["FLUSHDB"] => {
                self.slots().clear();
                Ok(ok())
            }
            _ => return None,
        })
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), &'static str> {
        let slot = self.slots().remove(from).ok_or(NO_SUCH_KEY)?;
        self.slots().insert(to.into(), slot);
        Ok(())
    }

    fn move_key(&mut self, key: &str, database: usize) -> Done {
        if database == self.selected {
            return Err(SAME_OBJECT);
        }
        if self.databases[database].contains_key(key) {
            return Ok(int(0));
        }
        let slot = self.slots().remove(key);
        let moved = slot.map(|slot| self.databases[database].insert(key.into(), slot));
        Ok(int(i64::from(moved.is_some())))
    }
}
