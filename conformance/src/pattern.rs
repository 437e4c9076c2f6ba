//! Patterns over the addresses of cases and checks: `*` stands for anything, slashes included, `?` for one character.

use std::str::FromStr;

use globset::{Glob, GlobMatcher};

/// A pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

/// A pattern that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; a pattern is part of a name, or a name with * for anything and ? for one character")]
pub struct PatternError(globset::Error);

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let matcher = Glob::new(text).map_err(PatternError)?.compile_matcher();
        Ok(Self {
            text: text.to_owned(),
            matcher,
        })
    }
}

impl Pattern {
    /// Whether the whole name is what the pattern says.
    pub fn is(&self, name: &str) -> bool {
        self.matcher.is_match(name)
    }

    /// The same for people who look for something: text without wildcards may stand anywhere in the name.
    pub fn finds(&self, name: &str) -> bool {
        self.is(name) || name.contains(&self.text)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_cross_slashes_and_plain_text_is_found_anywhere() {
        let pattern: Pattern = "psync/*/request".parse().unwrap();
        assert!(pattern.is("psync/replica/ask/request"));
        assert!(!pattern.is("psync/replica/ask/requests"));
        let plain: Pattern = "ask".parse().unwrap();
        assert!(plain.finds("psync/replica/ask/request") && !plain.is("psync/replica/ask/request"));
        assert!("[".parse::<Pattern>().is_err());
    }
}
