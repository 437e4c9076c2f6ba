//! Names on the command line: eras, scopes and faults, with errors that list what there is.

use anyhow::{Context, bail};
use psync_model::fault::{self, FAULTS, Fault};
use psync_model::rulebook::{Era, Rulebook};
use psync_model::scope::{self, NamedScope, SCOPES};
use psync_model::suite::{self, SUITES, Suite};

/// The scope of this name.
pub(crate) fn scope_named(name: &str) -> Result<&'static NamedScope, String> {
    scope::named(name).ok_or_else(|| {
        let known: Vec<_> = SCOPES
            .iter()
            .map(|scope| format!("  {:<16}{}", scope.name, scope.purpose))
            .collect();
        format!("there is no such scope; there are\n{}", known.join("\n"))
    })
}

/// What a check goes through.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// One scope.
    Scope(&'static NamedScope),
    /// Several.
    Suite(&'static Suite),
}

/// The scope or the suite of this name.
pub(crate) fn wanted_named(name: &str) -> Result<Wanted, String> {
    if let Some(suite) = suite::named(name) {
        return Ok(Wanted::Suite(suite));
    }
    let suites: Vec<_> = SUITES
        .iter()
        .map(|suite| format!("  {:<16}{}", suite.name, suite.purpose))
        .collect();
    scope_named(name)
        .map(Wanted::Scope)
        .map_err(|scopes| format!("{scopes}\nand, several at once,\n{}", suites.join("\n")))
}

/// The fault of this name.
pub(crate) fn fault_named(name: &str) -> Result<&'static Fault, String> {
    fault::named(name).ok_or_else(|| {
        let known: Vec<_> = FAULTS
            .iter()
            .map(|fault| format!("  {:<38}{}", fault.name, fault.sentence))
            .collect();
        format!("there is no such fault; there are\n{}", known.join("\n"))
    })
}

/// The rulebook of an era, with a fault if one is asked for.
pub(crate) fn rulebook(era: Era, fault: Option<&Fault>) -> anyhow::Result<Rulebook> {
    let Some(fault) = fault else {
        return Ok(era.rulebook());
    };
    fault.in_era(era).with_context(|| {
        let eras = Era::ALL
            .into_iter()
            .filter(|&era| fault.in_era(era).is_some());
        let eras: Vec<_> = eras.map(Era::name).collect();
        format!(
            "the fault {} does not show in era {era}; it does in {}",
            fault.name,
            eras.join(", ")
        )
    })
}

/// The one era asked for, or a default.
pub(crate) fn one_era(eras: &[Era], otherwise: Era) -> anyhow::Result<Era> {
    match eras {
        [] => Ok(otherwise),
        [era] => Ok(*era),
        _ => bail!("this command takes one --era"),
    }
}
