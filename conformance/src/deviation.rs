//! What a server is known to do otherwise: a failure that is explained, with the reason and where it is discussed.
use psync_model::step::Step;
use serde::Deserialize;

use crate::pattern::Pattern;

/// A check this subject is known to fail. One that passes is an error, so the list cannot rot.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// The address of the check, with `*` where it does not matter: `psync2-v7/replica/*/request`.
    #[serde(deserialize_with = "pattern")]
    pub check: Pattern,
    /// What comes in place of what is required, where the check can fail for several reasons: `PSYNC * 0`.
    #[serde(default, deserialize_with = "optional_pattern")]
    pub came: Option<Pattern>,
    /// A step that must have come before, where it fails only then: `follow-in-transaction`.
    #[serde(default, deserialize_with = "optional_pattern")]
    pub after: Option<Pattern>,
    /// Why it fails.
    pub reason: String,
    /// Where that is discussed.
    pub link: String,
}

fn pattern<'de, D: serde::Deserializer<'de>>(text: D) -> Result<Pattern, D::Error> {
    let text = String::deserialize(text)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn optional_pattern<'de, D: serde::Deserializer<'de>>(
    text: D,
) -> Result<Option<Pattern>, D::Error> {
    pattern(text).map(Some)
}

impl Deviation {
    /// Whether a failure at this address after these steps, with this in place of what is required, is the one that is
    /// known.
    pub fn explains(&self, address: &str, came: &str, before: &[Step]) -> bool {
        let came_before = |step: &Pattern| before.iter().any(|one| step.is(&one.to_string()));
        self.check.is(address)
            && self.came.as_ref().is_none_or(|known| known.is(came))
            && self.after.as_ref().is_none_or(came_before)
    }

    /// Why it fails, and where that is discussed.
    pub fn told(&self) -> String {
        format!("{} ({})", self.reason, self.link)
    }

    /// What it is called where it is listed.
    pub fn name(&self) -> String {
        let noted = |word: &str, pattern: &Option<Pattern>| {
            let text = pattern
                .as_ref()
                .map(|pattern| format!(" ({word}{})", pattern.as_str()));
            text.unwrap_or_default()
        };
        let (came, after) = (noted("", &self.came), noted("after ", &self.after));
        format!("{}{came}{after}", self.check.as_str())
    }
}
