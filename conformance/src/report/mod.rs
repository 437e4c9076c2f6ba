//! Reports: what a run found, for a reader at a terminal ([`text`]), for other programs ([`record`], JSON Lines),
//! for a build server ([`junit`]) and as a page that needs nothing else ([`html`]). [`compare`] sets two runs side
//! by side. Everything is made from a [`record::Record`], so that a report can be made again from its file.

pub mod compare;
pub mod html;
pub mod junit;
pub mod record;
pub mod swept;
pub mod text;

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::rulebook::Era;
use psync_model::step::Step;

use crate::verdict::Check;

/// Where a check lives: `<era>/<casting>/<rule>[/<branch>]/<check>`.
pub fn address(era: Era, casting: Casting, step: Step, check: Check) -> String {
    format!("{era}/{casting}/{step}/{check}")
}

/// Writes a case into a folder, under a name made from its identifier; returns the file.
pub fn write_case(case: &Case, folder: &Path) -> anyhow::Result<PathBuf> {
    let (era, casting) = (case.header.era, case.header.casting);
    let digest = case.header.id.rsplit('/').next().unwrap_or("case");
    let path = folder.join(format!("{era}-{casting}-{digest}.jsonl"));
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = BufWriter::new(fs::File::create(&path)?);
        case.write(&mut file)?;
        file.flush()
    };
    written().with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}
