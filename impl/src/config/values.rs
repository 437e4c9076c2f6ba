//! The values that directives take, read and written in the spelling of Redis.

use std::fmt;

use super::PrimaryAddress;

/// When a connection that does not read what it is sent is cut off (`client-output-buffer-limit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// Bytes that may never be exceeded; 0 for none.
    pub hard_bytes: u64,
    /// Bytes that may be exceeded for a while; 0 for none.
    pub soft_bytes: u64,
    /// That while, in seconds.
    pub soft_s: u64,
}

/// The limits of the three classes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimits {
    /// Users.
    pub normal: OutputLimit,
    /// Connections that carry the stream.
    pub replica: OutputLimit,
    /// Subscribers, of which there are none here; kept for the sake of scripts.
    pub pubsub: OutputLimit,
}

/// How a replica takes a snapshot that is sent as it is made (PROTOCOL §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisklessLoad {
    /// To a file first; the old data stay until the file is whole.
    Disabled,
    /// Without a file where there are no data to lose, else as `disabled`.
    OnEmptyDb,
    /// Without a file, beside the old data.
    SwapDb,
}

/// Who may use `DEBUG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebugAccess {
    /// Nobody.
    No,
    /// Connections from this machine.
    Local,
}

/// The limit of users where the configuration names none, in bytes.
const UNNAMED_LIMIT: u64 = 1 << 30;

impl Default for OutputLimits {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        let limit = |hard_bytes, soft_bytes| OutputLimit {
            hard_bytes,
            soft_bytes,
            soft_s: 60,
        };
        Self {
            normal: OutputLimit::default(),
            replica: limit(256 * MIB, 64 * MIB),
            pubsub: limit(32 * MIB, 8 * MIB),
        }
    }
}

impl OutputLimits {
    /// Most bytes that may wait for a user: the hard limit of the class. There is always one.
    pub fn longest_for_user(&self) -> u64 {
        match self.normal.hard_bytes {
            0 => UNNAMED_LIMIT,
            bytes => bytes,
        }
    }

    /// Takes over the classes that a text names: `<class> <hard> <soft> <seconds>`, any number of times.
    pub(super) fn merge(mut self, text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.is_empty() || !words.len().is_multiple_of(4) {
            return None;
        }
        for group in words.chunks_exact(4) {
            let limit = OutputLimit {
                hard_bytes: parse_bytes(group[1])?,
                soft_bytes: parse_bytes(group[2])?,
                soft_s: parse_seconds(group[3])?,
            };
            match group[0].to_ascii_lowercase().as_str() {
                "normal" => self.normal = limit,
                "replica" | "slave" => self.replica = limit,
                "pubsub" => self.pubsub = limit,
                _ => return None,
            }
        }
        Some(self)
    }
}

impl fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = [
            ("normal", self.normal),
            ("slave", self.replica),
            ("pubsub", self.pubsub),
        ];
        for (index, (name, limit)) in classes.into_iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            let OutputLimit {
                hard_bytes,
                soft_bytes,
                soft_s,
            } = limit;
            write!(f, "{gap}{name} {hard_bytes} {soft_bytes} {soft_s}")?;
        }
        Ok(())
    }
}

impl DisklessLoad {
    const NAMES: [(Self, &'static str); 3] = [
        (Self::Disabled, "disabled"),
        (Self::OnEmptyDb, "on-empty-db"),
        (Self::SwapDb, "swapdb"),
    ];

    pub(super) fn name(self) -> String {
        let named = Self::NAMES.iter().find(|(value, _)| *value == self);
        named.map_or_else(String::new, |(_, name)| (*name).to_owned())
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let named = Self::NAMES
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text));
        named.map(|(value, _)| *value)
    }
}

impl DebugAccess {
    pub(super) fn name(self) -> String {
        match self {
            Self::No => "no",
            Self::Local => "local",
        }
        .to_owned()
    }

    /// `yes` means the loopback here too: a server that others can stop with one word is of no use.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "no" => Some(Self::No),
            "local" | "yes" => Some(Self::Local),
            _ => None,
        }
    }
}

pub(super) fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

pub(super) fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

pub(super) fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

pub(super) fn parse_yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Seconds that still fit when counted in milliseconds.
pub(super) fn parse_seconds(text: &str) -> Option<u64> {
    text.parse::<u64>()
        .ok()
        .filter(|seconds| u32::try_from(*seconds).is_ok())
}

/// A host and a port; the empty text and `no one` are no primary, which is a value too.
#[expect(
    clippy::option_option,
    reason = "the outer level says whether the text has a meaning at all"
)]
pub(super) fn parse_primary(text: &str) -> Option<Option<PrimaryAddress>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [] => Some(None),
        [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => Some(None),
        [host, port] => {
            let address = |port| PrimaryAddress {
                host: (*host).to_owned(),
                port,
            };
            port.parse().ok().map(|port| Some(address(port)))
        }
        _ => None,
    }
}

/// Bytes with the suffixes of Redis: `k` is 1000, `kb` is 1024, and so on.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("kb", 1 << 10),
        ("mb", 1 << 20),
        ("gb", 1 << 30),
        ("k", 1_000),
        ("m", 1_000_000),
        ("g", 1_000_000_000),
        ("b", 1),
    ];
    let text = text.to_ascii_lowercase();
    let unit = UNITS
        .iter()
        .find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|number| (number, *factor)));
    let (number, factor) = unit.unwrap_or((&text, 1));
    let bytes = number.parse::<u64>().ok()?.checked_mul(factor)?;
    i64::try_from(bytes).is_ok().then_some(bytes)
}

/// Bytes that memory can hold.
pub(super) fn parse_size(text: &str) -> Option<usize> {
    parse_bytes(text).and_then(|bytes| usize::try_from(bytes).ok())
}

pub(super) fn parse_save(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let sound =
        words.len().is_multiple_of(2) && words.iter().all(|word| word.parse::<u32>().is_ok());
    sound.then(|| words.join(" "))
}

/// Addresses to listen on; a leading `-` marks one that may be missing, as in Redis.
pub(super) fn parse_addresses(text: &str) -> Option<Vec<String>> {
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    (!words.is_empty()).then_some(words)
}
