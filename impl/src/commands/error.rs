//! What a command can be answered instead of a result, in Redis's words: clients match on the first.

use bytes::Bytes;

/// The most bytes of a name that an error repeats, and of all arguments together, as in Redis.
const REPEATED_BYTES: usize = 128;

/// Why a command was not carried out. The text is the error reply without its `-`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such command.
    #[error("ERR unknown command '{name}', with args beginning with: {args}")]
    Unknown {
        /// Its name as sent, shortened.
        name: String,
        /// Its arguments in quotes, shortened.
        args: String,
    },
    /// Too few or too many arguments.
    #[error("ERR wrong number of arguments for '{name}' command")]
    WrongArity {
        /// The command, in lower case.
        name: &'static str,
    },
    /// A server command was handed to the data part.
    #[error("ERR '{name}' is not a data command")]
    NotData {
        /// The command, in lower case.
        name: &'static str,
    },
    /// The key holds a value of another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// An argument that this command cannot take, in Redis's words for it.
    #[error("ERR {0}")]
    Refused(&'static str),
    /// A number of keys that is not positive, where the error names the command.
    #[error("ERR at least 1 input key is needed for '{name}' command")]
    NoInputKeys {
        /// The command, in lower case.
        name: &'static str,
    },
    /// An argument that had to be a floating-point number.
    #[error("ERR value is not a valid float")]
    NotFloat,
    /// Options that do not exist or exclude each other.
    #[error("ERR syntax error")]
    Syntax,
    /// An argument or a value that had to be a number.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// A result that does not fit.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// The one number whose negative does not exist.
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    /// A deadline that is not positive or does not fit.
    #[error("ERR invalid expire time in '{name}' command")]
    InvalidExpire {
        /// The command, in lower case.
        name: &'static str,
    },
    /// `NX` together with another condition.
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    ConflictingConditions,
    /// `GT` together with `LT`.
    #[error("ERR GT and LT options at the same time are not compatible")]
    GreaterAndLess,
    /// A condition that `EXPIRE` does not know.
    #[error("ERR Unsupported option {option}")]
    UnsupportedOption {
        /// It, as sent.
        option: String,
    },
    /// A negative position.
    #[error("ERR offset is out of range")]
    OffsetRange,
    /// A string beyond the limit.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    TooLong,
    /// `RENAME` of nothing.
    #[error("ERR no such key")]
    NoSuchKey,
    /// `RESTORE` over a key without `REPLACE`.
    #[error("BUSYKEY Target key name already exists.")]
    BusyKey,
    /// A subcommand that is none, or has too few or too many arguments.
    #[error(
        "ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try {command} HELP."
    )]
    UnknownSubcommand {
        /// The command, in upper case.
        command: &'static str,
        /// It, as sent.
        subcommand: String,
    },
    /// A database that we do not have.
    #[error("ERR DB index is out of range")]
    DatabaseRange,
    /// The first argument of `SWAPDB` is no number.
    #[error("ERR invalid first DB index")]
    FirstDatabase,
    /// The second argument of `SWAPDB` is no number.
    #[error("ERR invalid second DB index")]
    SecondDatabase,
    /// `COPY` of a key onto itself.
    #[error("ERR source and destination objects are the same")]
    SameObject,
    /// A cursor that is no number.
    #[error("ERR invalid cursor")]
    InvalidCursor,
}

/// The error for a command that is not in the table.
pub(super) fn unknown(args: &[Bytes]) -> CommandError {
    let shorten = |arg: &Bytes, limit: usize| {
        String::from_utf8_lossy(&arg[..arg.len().min(limit)]).into_owned()
    };
    let name = args
        .first()
        .map(|name| shorten(name, REPEATED_BYTES))
        .unwrap_or_default();
    let mut quoted = String::new();
    for arg in args.iter().skip(1) {
        let Some(room) = REPEATED_BYTES
            .checked_sub(quoted.len())
            .filter(|room| *room > 0)
        else {
            break;
        };
        quoted.extend(["'", &shorten(arg, room), "' "]);
    }
    CommandError::Unknown { name, args: quoted }
}
