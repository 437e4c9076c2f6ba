//! A counterexample as files: a case to replay, a drawing to look at, a trace for viewers.

use anyhow::Context;
use psync_model::case::Case;
use psync_model::diagram;
use psync_model::itf::itf;
use psync_model::narrate::moments;
use psync_model::scope;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Where counterexamples are kept unless told otherwise.
pub(crate) const FOLDER: &str = "target/psync/model";

/// The files of one counterexample.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The plan, as a case.
    pub(crate) case: PathBuf,
    /// Whether the judge drives steps like these on real servers.
    pub(crate) is_driven: bool,
    /// The sequence diagram.
    pub(crate) svg: PathBuf,
    /// The Informal Trace Format.
    pub(crate) itf: PathBuf,
}

/// Writes a case, its drawing and its trace into a folder, which is made if it is not there.
pub(crate) fn keep(case: &Case, folder: &Path, stem: &str, about: &str) -> anyhow::Result<Kept> {
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    let kept = Kept {
        case: folder.join(format!("{stem}.jsonl")),
        is_driven: is_driven(case),
        svg: folder.join(format!("{stem}.svg")),
        itf: folder.join(format!("{stem}.itf.json")),
    };
    let (setting, topology) = (case.setting()?, case.header.scope.topology);
    let story = moments(&case.steps, &setting, topology)?;
    let trace = itf(&story, &topology.beginning(), &setting, about);
    write(&kept.case, |out| case.write(out))?;
    write(&kept.svg, |out| {
        out.write_all(diagram::svg(&story, &setting).as_bytes())
    })?;
    write(&kept.itf, |out| {
        Ok(serde_json::to_writer_pretty(out, &trace)?)
    })?;
    Ok(kept)
}

/// Whether every step is one of those in scope `replay`, which is what the judge is made for.
fn is_driven(case: &Case) -> bool {
    let replay = scope::named("replay")
        .expect("the judge's scope exists")
        .scope;
    let steps = case.steps.iter();
    let known = steps.copied().all(|step| replay.allows(step));
    known && case.header.scope.topology == replay.topology
}

fn write(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let save = || {
        let mut out = BufWriter::new(File::create(path)?);
        content(&mut out)?;
        out.flush()
    };
    save().with_context(|| format!("{}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use psync_model::casting::Casting;
    use psync_model::catch::{caught, ladder};
    use psync_model::fault;
    use psync_model::rulebook::Era;

    #[test]
    fn what_the_judge_cannot_do_is_not_offered_to_it() {
        let fallback = fault::named("sync-fallback-keeps-id").unwrap();
        let caught = caught(fallback, Era::Psync2V7, ladder(), |_| ()).unwrap();
        let steps = caught.found.steps;
        let case = Case::named(
            Era::Psync2V7,
            caught.scope.scope,
            Casting::Replica,
            "S1",
            steps,
        );
        assert!(!is_driven(&case));
    }

    #[test]
    fn what_is_kept_can_be_read_again() {
        let fault = fault::named("request-not-plus-one").unwrap();
        let caught = caught(fault, Era::Psync2V7, ladder(), |_| ()).unwrap();
        let mut case = Case::named(
            Era::Psync2V7,
            caught.scope.scope,
            Casting::Replica,
            "S3",
            caught.found.steps,
        );
        case.header.fault = Some(fault.name.to_owned());
        let folder = tempfile::tempdir().unwrap();
        let kept = keep(&case, folder.path(), "s3", "a test").unwrap();
        assert!(kept.is_driven);
        let text = fs::read(&kept.case).unwrap();
        assert_eq!(Case::read(text.as_slice()).unwrap(), case);
        let svg = fs::read_to_string(&kept.svg).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
        let trace: serde_json::Value =
            serde_json::from_slice(&fs::read(&kept.itf).unwrap()).unwrap();
        assert_eq!(
            trace["states"].as_array().unwrap().len(),
            case.steps.len() + 1
        );
    }
}
