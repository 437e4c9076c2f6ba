//! The command line: a configuration file, every directive of Redis as `--name value`, and a few options of our own.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::config::file::{self, UnbalancedQuotes};
use crate::config::{Config, ConfigError, DIRECTIVES, Meaning};
use crate::faults::{FAULTS, FaultError};
use crate::rulebook::{Era, Rulebook, UnknownEra};

/// What the command line asks for.
#[derive(Debug)]
pub enum Wish {
    /// Print the help and end.
    Help,
    /// Print the version and end.
    Version,
    /// Serve.
    Serve(Box<Serve>),
}

/// How to serve.
#[derive(Debug)]
pub struct Serve {
    /// The rules to obey.
    pub rules: Rulebook,
    /// The fault among them, by name.
    pub fault: Option<String>,
    /// The configuration.
    pub config: Config,
    /// The file it came from, if it came from one; what `CONFIG REWRITE` writes.
    pub file: Option<PathBuf>,
    /// Sentences the operator should read.
    pub warnings: Vec<String>,
}

/// A command line that cannot be obeyed.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// The configuration file cannot be read.
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    UnreadableFile {
        /// Its name as given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration file is not written as one.
    #[error("the configuration file {}: {source}", path.display())]
    BadFile {
        /// Its name as given.
        path: PathBuf,
        /// What is wrong.
        source: UnbalancedQuotes,
    },
    /// The option is neither ours nor one of Redis.
    #[error("there is no option `--{name}`; --help lists them")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// An option of ours needs a value.
    #[error("`--{name}` needs a value")]
    Incomplete {
        /// Its name.
        name: String,
    },
    /// The era does not exist.
    #[error(transparent)]
    Era(#[from] UnknownEra),
    /// The fault cannot be had.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// This build is honest.
    #[error(
        "this server was built without the cargo feature `faults`, so it cannot be wrong on purpose: `{name}` is refused"
    )]
    WithoutFaults {
        /// The fault asked for.
        name: String,
    },
    /// A directive with a value that does not fit.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Reads a command line without the name of the program, and the configuration file if it begins with one.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Wish, OptionError> {
    let mut args: Vec<String> = args
        .into_iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let named = args.first().is_some_and(|word| !word.starts_with('-'));
    let path = named.then(|| PathBuf::from(args.remove(0)));
    let options = group(args);
    let asked = |name: &str| options.iter().any(|(option, _)| option == name);
    if asked("help") {
        return Ok(Wish::Help);
    }
    if asked("version") {
        return Ok(Wish::Version);
    }
    let (era, fault) = (own_value(&options, "era")?, own_value(&options, "fault")?);
    let era: Era = era.map_or(Ok(Era::Psync2V7), str::parse)?;
    let mut serve = Serve {
        rules: rules(era, fault, asked("as-shipped"))?,
        fault: fault.map(str::to_owned),
        config: Config::of(era),
        file: None,
        warnings: Vec::new(),
    };
    if let Some(path) = path {
        read_file(&mut serve, path)?;
    }
    let own = |name: &str| matches!(name, "era" | "fault" | "as-shipped");
    let directives = options.into_iter().filter(|(name, _)| !own(name));
    for (name, value) in added_up(directives) {
        match serve.config.set_at_start(&name, &value) {
            Err(ConfigError::Unknown { name }) => return Err(OptionError::Unknown { name }),
            result => note(&mut serve, &name, result?),
        }
    }
    Ok(Wish::Serve(Box::new(serve)))
}

/// Obeys a configuration file. What Redis has and we do not is no reason not to start.
fn read_file(serve: &mut Serve, path: PathBuf) -> Result<(), OptionError> {
    let text = std::fs::read_to_string(&path).and_then(|text| Ok((path.canonicalize()?, text)));
    let (absolute, text) = match text {
        Ok(read) => read,
        Err(source) => return Err(OptionError::UnreadableFile { path, source }),
    };
    let directives = match file::parse(&text) {
        Ok(directives) => directives,
        Err(source) => return Err(OptionError::BadFile { path, source }),
    };
    for (name, value) in added_up(directives) {
        match serve.config.set_at_start(&name, &value) {
            Err(ConfigError::Unknown { name }) => serve.warnings.push(format!(
                "the directive {name} of the configuration file is not known here and is ignored"
            )),
            result => note(serve, &name, result?),
        }
    }
    serve.file = Some(absolute);
    Ok(())
}

fn note(serve: &mut Serve, name: &str, meaning: Meaning) {
    if meaning == Meaning::Remembered {
        let warning = format!("the directive {name} has no meaning here and is only remembered");
        serve.warnings.push(warning);
    }
}

/// The save points of one source belong together.
fn added_up(directives: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut added: Vec<(String, String)> = Vec::new();
    for (name, value) in directives {
        let earlier = added
            .iter_mut()
            .find(|(known, _)| *known == name && name == "save");
        match earlier {
            Some((_, points)) if !value.is_empty() => *points = format!("{points} {value}"),
            Some((_, points)) => points.clear(),
            None => added.push((name, value)),
        }
    }
    added
}

/// Options with their words: everything up to the next `--` is the value.
fn group(args: Vec<String>) -> Vec<(String, String)> {
    let mut options: Vec<(String, Vec<String>)> = Vec::new();
    for word in args {
        match (word.strip_prefix("--"), options.last_mut()) {
            (Some(name), _) => options.push((name.to_ascii_lowercase(), Vec::new())),
            (None, _) if word == "-h" => options.push(("help".to_owned(), Vec::new())),
            (None, _) if word == "-v" => options.push(("version".to_owned(), Vec::new())),
            (None, Some((_, words))) => words.push(word),
            (None, None) => options.push((word, Vec::new())),
        }
    }
    let joined = |(name, words): (String, Vec<String>)| (name, words.join(" "));
    options.into_iter().map(joined).collect()
}

fn own_value<'a>(
    options: &'a [(String, String)],
    name: &str,
) -> Result<Option<&'a str>, OptionError> {
    match options.iter().rfind(|(option, _)| option == name) {
        Some((_, value)) if value.is_empty() => Err(OptionError::Incomplete {
            name: name.to_owned(),
        }),
        found => Ok(found.map(|(_, value)| value.as_str())),
    }
}

/// The rules of an era, as they should be, as they are in the field, or with one fault.
fn rules(era: Era, fault: Option<&str>, as_shipped: bool) -> Result<Rulebook, OptionError> {
    let asked = fault.or(as_shipped.then_some("as-shipped"));
    if let Some(name) = asked.filter(|_| !cfg!(feature = "faults")) {
        return Err(OptionError::WithoutFaults {
            name: name.to_owned(),
        });
    }
    let mut rules = fault.map_or(Ok(Rulebook::of(era)), |name| {
        crate::faults::rulebook_with(era, name)
    })?;
    if as_shipped {
        crate::faults::ship(&mut rules);
    }
    Ok(rules)
}

/// The text of `--help`.
pub fn help() -> String {
    let eras = Era::ALL.map(Era::name).join(", ");
    let directives: Vec<String> = DIRECTIVES
        .iter()
        .map(|directive| format!("  --{:<34} {}\n", directive.names[0], directive.expected))
        .collect();
    let faults: Vec<String> = FAULTS
        .iter()
        .map(|fault| format!("  {:<36} {}\n", fault.name, fault.sentence))
        .collect();
    let (directives, faults) = (directives.concat(), faults.concat());
    format!(
        "psync-server: a server that replicates as Redis does, generation by generation.\n\n\
         Usage: psync-server [redis.conf] [--name value]...\n\n\
         A primary on port 7000 and a replica of it:\n\n  \
           psync-server --port 7000 --dir /tmp/a\n  \
           psync-server --port 7001 --dir /tmp/b --replicaof 127.0.0.1 7000\n\n\
         Then: redis-cli -p 7000 set x 1; redis-cli -p 7001 get x; redis-cli -p 7001 info replication\n\
         Break the link and see it continued: redis-cli -p 7000 client kill type replica\n\
         Exchange the two: redis-cli -p 7000 failover; redis-cli -p 7001 role\n\
         On SIGTERM and SIGINT the server ends, after a snapshot if --save names a save point.\n\n\
         Own options:\n  \
           --era NAME     the generation of the protocol: {eras} (default psync2-v7)\n  \
           --as-shipped   with the flaws that servers of that generation still have; see FLAWS.md\n  \
           --fault NAME   be wrong in one way\n  \
           --help, --version\n\n\
         --as-shipped and --fault need a build with the cargo feature `faults`.\n\n\
         Directives, named as in redis.conf (others of Redis are accepted with a warning):\n{directives}\n\
         Faults:\n{faults}\n\
         Exit status: 0 ended as asked, 1 could not serve, 2 misused.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Wish, OptionError> {
        parse(words.iter().map(OsString::from))
    }

    fn served(words: &[&str]) -> Serve {
        match parsed(words).unwrap() {
            Wish::Serve(serve) => *serve,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_primary_may_be_one_word_or_two() {
        for words in [
            &["--replicaof", "127.0.0.1 7000"][..],
            &["--slaveof", "127.0.0.1", "7000", "--port", "0"],
        ] {
            assert_eq!(
                served(words).config.replicaof.map(|primary| primary.port),
                Some(7000)
            );
        }
    }

    #[test]
    fn directives_without_meaning_warn_and_unknown_options_are_errors() {
        assert_eq!(
            served(&["--loglevel", "verbose", "--save", ""])
                .warnings
                .len(),
            1
        );
        assert!(matches!(
            parsed(&["--no-such-thing", "1"]),
            Err(OptionError::Unknown { .. })
        ));
        assert!(matches!(
            parsed(&["--era", "psync3"]),
            Err(OptionError::Era(_))
        ));
        assert!(matches!(
            parsed(&["--era"]),
            Err(OptionError::Incomplete { .. })
        ));
        assert!(matches!(
            parsed(&["no-such-file.conf"]),
            Err(OptionError::UnreadableFile { .. })
        ));
    }

    #[test]
    fn a_file_comes_first_and_the_command_line_goes_beyond_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("redis.conf");
        std::fs::write(
            &path,
            "port 7000\nsave 900 1\nsave 300 10\nno-such-thing 1\ndaemonize yes\n",
        )
        .unwrap();
        let path = path.to_str().unwrap();
        let from_file = served(&[path]);
        assert_eq!(
            (from_file.config.port, from_file.config.save.as_str()),
            (7000, "900 1 300 10")
        );
        assert_eq!(from_file.warnings.len(), 2);
        let with_more = served(&[path, "--port", "7001", "--save", ""]);
        assert_eq!(
            (with_more.config.port, with_more.config.save.as_str()),
            (7001, "")
        );
    }

    #[test]
    fn faults_need_their_feature() {
        for words in [
            &["--fault", "replication-id-not-checked"][..],
            &["--as-shipped"],
        ] {
            assert_eq!(parsed(words).is_ok(), cfg!(feature = "faults"), "{words:?}");
        }
    }
}
