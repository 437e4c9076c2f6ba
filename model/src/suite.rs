//! Several scopes under one name: what is checked together.

use crate::rulebook::Era;

/// Scopes that are surveyed one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// The name on the command line.
    pub name: &'static str,
    /// One line for `--help`.
    pub purpose: &'static str,
    /// The names of the scopes, smallest first.
    pub scopes: &'static [&'static str],
    /// The eras that are meant unless others are named.
    pub eras: &'static [Era],
}

/// Every scope but those of which no end is known.
const WIDE: [&str; 18] = [
    "smoke",
    "errors",
    "transactions",
    "pings",
    "chain",
    "fan",
    "restarts",
    "replay",
    "databases",
    "failover",
    "pair",
    "handover",
    "succession",
    "everything",
    "restart",
    "restart-fan",
    "everything-lagging",
    "restart-lagging",
];

/// As many of these as half a minute is enough for.
const STANDARD: &[&str] = WIDE.split_at(15).0;

/// The suites there are.
pub const SUITES: [Suite; 2] = [
    Suite {
        name: "standard",
        purpose: "fifteen scopes, in the newest era unless told otherwise: half a minute on two idle processors",
        scopes: STANDARD,
        eras: &[Era::Psync2V7],
    },
    Suite {
        name: "wide",
        purpose: "the same, three larger ones among them a chain of three that restarts, in every era: within an hour and 8 GiB",
        scopes: &WIDE,
        eras: &Era::ALL,
    },
];

/// The suite of this name, if there is one.
pub fn named(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope;

    #[test]
    fn suites_consist_of_scopes_that_exist_and_have_names_of_their_own() {
        for suite in &SUITES {
            assert!(scope::named(suite.name).is_none(), "{}", suite.name);
            for name in suite.scopes {
                assert!(scope::named(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn every_scope_whose_end_is_known_is_in_the_wide_suite() {
        let missing = scope::SCOPES.iter().map(|named| named.name);
        let missing: Vec<_> = missing.filter(|name| !WIDE.contains(name)).collect();
        assert_eq!(missing, ["role-restarts"]);
    }
}
