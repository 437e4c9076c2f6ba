//! Strings.

use super::{
    Answer, Done, Model, NOT_INTEGER, Value, bulk, bulk_or_null, int, null, number, ok, span,
};

impl Model {
    pub(super) fn strings(&mut self, words: &[&str]) -> Option<Done> {
        Some(match *words {
            ["GET", key] => self.text(key).map(|text| bulk_or_null(text.as_ref())),
            ["GETDEL", key] => self.text(key).map(|text| {
                self.slots().remove(key);
                bulk_or_null(text.as_ref())
            }),
            ["SET", key, value, ref options @ ..] => self.set_text(key, value, options),
            ["SETNX", key, value] => Ok(int(self.set_if_new(key, value))),
            ["MSET", one, first, other, second] => {
                self.put(one, Value::Text(first.into()), None);
                self.put(other, Value::Text(second.into()), None);
                Ok(ok())
            }
            ["MGET", ref keys @ ..] => {
                let texts = keys.iter().map(|key| self.text(key).ok().flatten());
                let answers = texts.map(|text| bulk_or_null(text.as_ref()));
                Ok(Answer::Array(Some(answers.collect())))
            }
            ["STRLEN", key] => self
                .text(key)
                .map(|text| int(text.unwrap_or_default().len())),
            ["APPEND", key, value] => self.edit(key, |text: &mut String| {
                text.push_str(value);
                int(text.len())
            }),
            ["INCRBY", key, amount] => self.increment(key, number(amount)),
            ["GETRANGE", key, start, stop] => self.text(key).map(|text| {
                let text = text.unwrap_or_default();
                bulk(&text[text_span(start, stop, text.len())])
            }),
            ["SETRANGE", key, offset, value] => self.edit(key, |text: &mut String| {
                let offset = number(offset) as usize;
                let end = offset + value.len();
                let padding = end.saturating_sub(text.len());
                text.push_str(&"\0".repeat(padding));
                text.replace_range(offset..end, value);
                int(text.len())
            }),
            _ => return None,
        })
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, &'static str> {
        self.read(key)
    }

    fn set_if_new(&mut self, key: &str, value: &str) -> i64 {
        let new = !self.has(key);
        if new {
            self.put(key, Value::Text(value.into()), None);
        }
        new.into()
    }

    fn set_text(&mut self, key: &str, value: &str, options: &[&str]) -> Done {
        let stored = Value::Text(value.into());
        match *options {
            [] => self.put(key, stored, None),
            ["NX"] if self.set_if_new(key, value) == 0 => return Ok(null()),
            ["NX"] => {}
            ["XX", "GET"] => {
                let old = self.text(key)?;
                if old.is_some() {
                    self.put(key, stored, None);
                }
                return Ok(bulk_or_null(old.as_ref()));
            }
            ["KEEPTTL"] => {
                let deadline_ms = self.slots().get(key).and_then(|slot| slot.deadline_ms);
                self.put(key, stored, deadline_ms);
            }
            ["PX", wait_ms] => {
                let deadline_ms = self.now_ms + number(wait_ms) as u64;
                self.put(key, stored, Some(deadline_ms));
            }
            _ => panic!("the model does not know SET … {options:?}"),
        }
        Ok(ok())
    }

    fn increment(&mut self, key: &str, amount: i64) -> Done {
        let old = self.text(key)?.unwrap_or_else(|| "0".into());
        let sum = old.parse::<i64>().map_err(|_| NOT_INTEGER)? + amount;
        self.edit(key, |text: &mut String| {
            *text = sum.to_string();
            int(sum)
        })
    }
}

/// Like [`span`], except that an end before the first byte means the first.
fn text_span(start: &str, stop: &str, length: usize) -> std::ops::Range<usize> {
    let both_before = number(start) < 0 && number(stop) < 0 && number(start) > number(stop);
    let before = number(stop) + (length as i64) < 0;
    if before && !both_before && length > 0 {
        return span(start, "0", length);
    }
    span(start, stop, length)
}
