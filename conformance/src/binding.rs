//! From tokens to bytes: the only file that knows both sides.
//!
//! The model counts two units for a command and calls histories by small numbers; the wire counts bytes and
//! calls them by forty characters. A [`Binding`] remembers, for one possible world, which number stands for
//! which name, at which byte each command boundary lies, and which key stands for which write. What is bound
//! at first sight must stay so: a second sight that disagrees is a mismatch.
//!
//! A data command takes exactly [`COMMAND_BYTES`] on the wire, and a backlog of *k* commands is configured as
//! *k* × [`COMMAND_BYTES`] + [`BACKLOG_SLACK_BYTES`]: then a server continues from exactly the last *k*
//! commands, whether it trims to the byte or by blocks (`PROTOCOL §3.6`). The head of a command is its first
//! [`HEAD_BYTES`] bytes, too few to reach into the slack.
use std::collections::BTreeMap;

use psync_model::offset::ReplOffset;
use psync_model::token::{Data, Database, WriteNumber};
use psync_model::world::{Id, Label, Offset, World};

use crate::data::DataSet;
use crate::wire::encode;

/// The size of a data command on the wire.
pub const COMMAND_BYTES: usize = 32 * 1024;

/// What the configured backlog has beyond whole commands.
pub const BACKLOG_SLACK_BYTES: usize = 8 * 1024;

/// Where a command is cut when it is cut.
pub const HEAD_BYTES: i64 = 64;

/// A key that is always there, so that no snapshot is empty: real servers pause per key (`PROTOCOL §7.2`).
pub const BASE_KEY: &str = "base";

/// The value of [`BASE_KEY`].
pub const BASE_VALUE: &str = "the judge was here";

/// The configured size of a backlog of so many commands, in bytes.
pub const fn backlog_bytes(commands: usize) -> usize {
    commands * COMMAND_BYTES + BACKLOG_SLACK_BYTES
}

/// The number of a database on the wire.
pub const fn number(database: Database) -> u32 {
    match database {
        Database::First => 0,
        Database::Other => 1,
    }
}

/// What the harness writes for its `count`-th write of a case: a key of its own and a value made from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyValue {
    /// The database it is in.
    pub database: u32,
    /// The key.
    pub key: String,
    /// The value, long enough to make the command [`COMMAND_BYTES`] long.
    pub value: Vec<u8>,
}

impl KeyValue {
    /// The `count`-th write of a case.
    pub fn numbered(count: usize) -> Self {
        Self::of_width(format!("write-{count:04}"), COMMAND_BYTES)
    }

    /// The same in the other database.
    pub fn elsewhere(count: usize) -> Self {
        Self {
            database: number(Database::Other),
            ..Self::numbered(count)
        }
    }

    /// The same as two commands that together are as long: of a transaction that changes one thing only, a server from
    /// 7.0 on says neither MULTI nor EXEC (`PROTOCOL §2.5`).
    pub fn of_transaction(count: usize) -> [Self; 2] {
        ["a", "b"].map(|half| Self::of_width(format!("write-{count:04}-{half}"), COMMAND_BYTES / 2))
    }

    /// Writes this key by a command of so many bytes.
    fn of_width(key: String, bytes: usize) -> Self {
        let empty = encode(&["SET", &key, ""]).len();
        // The length of the value is itself written in decimal: four more digits than for an empty one.
        let value_bytes = bytes - empty - 4;
        let value = key.bytes().chain(*b" ").cycle().take(value_bytes).collect();
        Self {
            database: number(Database::First),
            key,
            value,
        }
    }

    /// The words of the command.
    pub fn words(&self) -> [&[u8]; 3] {
        [b"SET", self.key.as_bytes(), &self.value]
    }

    /// The command on the wire.
    pub fn command(&self) -> Vec<u8> {
        encode(&self.words())
    }
}

/// What is bound in one possible world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    ids: BTreeMap<u8, String>,
    bytes: BTreeMap<(u8, i16), i64>,
    widths: BTreeMap<(u8, i16), i64>,
    writes: BTreeMap<WriteNumber, Vec<KeyValue>>,
}

impl Binding {
    /// The name a history goes by on the wire.
    pub fn name(&self, id: Id) -> Option<&str> {
        self.ids.get(&id.0).map(String::as_str)
    }

    /// Whether a name on the wire is that of `id`; binds it at first sight. Two histories never share one.
    #[must_use]
    pub fn bind_name(&mut self, id: Id, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        match self.ids.get(&id.0) {
            Some(bound) => *bound == name,
            None if self.is_bound(&name) => false,
            None => self.ids.insert(id.0, name).is_none(),
        }
    }

    /// Whether a name on the wire is that of any history in use.
    pub fn is_bound(&self, name: &str) -> bool {
        self.ids
            .values()
            .any(|bound| bound.eq_ignore_ascii_case(name))
    }

    /// The byte offset that stands for an offset of a history. Inside a command it is that of its head.
    pub fn byte(&self, id: Id, offset: Offset) -> Option<i64> {
        let exact = self.bytes.get(&(id.0, offset.0)).copied();
        exact.or_else(|| Some(self.bytes.get(&(id.0, offset.0 - 1))? + HEAD_BYTES))
    }

    /// The same for a label.
    pub fn label_byte(&self, label: Label) -> Option<i64> {
        self.byte(label.id, label.offset)
    }

    /// Whether it is known where the command before a label ends.
    pub fn has_boundary(&self, label: Label) -> bool {
        self.bytes.contains_key(&(label.id.0, label.offset.0))
    }

    /// Whether a byte offset is where a label of a world lies; binds it at first sight, at command boundaries.
    #[must_use]
    pub fn bind_byte(&mut self, world: &World, label: Label, byte: i64) -> bool {
        let place = (label.id.0, label.offset.0);
        match self.bytes.get(&place) {
            Some(_) => self.is_at(label, byte),
            None => self.fits(world, label, byte) && self.bytes.insert(place, byte).is_none(),
        }
    }

    /// Whether a new boundary lies no nearer to its neighbours than the commands between them are long.
    fn fits(&self, world: &World, Label { id, offset }: Label, byte: i64) -> bool {
        let before = self
            .bytes
            .range((id.0, i16::MIN)..(id.0, offset.0))
            .next_back();
        let after = self.bytes.range((id.0, offset.0)..=(id.0, i16::MAX)).next();
        let far = |(&(_, other), &bound): (&(u8, i16), &i64)| {
            (byte - bound).abs() >= least_bytes(world, id, [offset, ReplOffset(other)])
        };
        before.is_none_or(far) && after.is_none_or(far)
    }

    /// The byte that a label of a world may lie at, in words.
    pub fn allowed_byte(&self, world: &World, label: Label) -> String {
        if let Some(byte) = self.label_byte(label) {
            return format!("{:?}", Some(byte));
        }
        let before = self
            .bytes
            .range((label.id.0, i16::MIN)..(label.id.0, label.offset.0))
            .next_back();
        before.map_or("any".to_owned(), |(&(_, other), &bound)| {
            let ends = [label.offset, ReplOffset(other)];
            format!("at least {}", bound + least_bytes(world, label.id, ends))
        })
    }

    /// Whether a byte offset is where a label lies: at its boundary, or behind what widens it.
    pub fn is_at(&self, label: Label, byte: i64) -> bool {
        let bound = self.label_byte(label);
        bound.is_some_and(|bound| byte == bound || byte == bound + self.width(label))
    }

    /// How wide a boundary is: what stands between two commands, moves the offset and changes nothing.
    pub fn width(&self, label: Label) -> i64 {
        let place = (label.id.0, label.offset.0);
        self.widths.get(&place).copied().unwrap_or_default()
    }

    /// Behind a boundary come so many bytes that move the offset and change nothing.
    pub fn widen(&mut self, label: Label, bytes: i64) {
        self.widths.insert((label.id.0, label.offset.0), bytes);
    }

    /// Notes which keys stand for a write.
    pub fn bind_write(&mut self, write: WriteNumber, pairs: Vec<KeyValue>) {
        self.writes.insert(write, pairs);
    }

    /// The keys and values that stand for a write; none if it was never bound.
    pub fn write(&self, write: WriteNumber) -> &[KeyValue] {
        self.writes.get(&write).map_or(&[], Vec::as_slice)
    }

    /// The data set that stands for `data`, the base key included.
    pub fn data_set(&self, data: Data) -> DataSet {
        let mut set = DataSet::new();
        set.insert(0, BASE_KEY, BASE_VALUE);
        for pair in data.writes().flat_map(|write| self.write(write)) {
            set.insert(pair.database, pair.key.as_bytes(), pair.value.clone());
        }
        set
    }

    /// Forgets everything about histories and writes that are no longer anywhere in the world: their numbers
    /// may be given to others.
    pub fn forget_unused(&mut self, world: &World) {
        let ids = world.ids_in_use();
        self.ids.retain(|id, _| ids >> id & 1 == 1);
        self.bytes.retain(|(id, _), _| ids >> id & 1 == 1);
        self.widths.retain(|(id, _), _| ids >> id & 1 == 1);
        let writes = world.writes_in_use();
        self.writes.retain(|write, _| writes.contains(*write));
    }
}

/// How many bytes the commands between two offsets of a history take at least: brackets and PINGs next to none, and who
/// knows what there was before its base.
fn least_bytes(world: &World, id: Id, ends: [Offset; 2]) -> i64 {
    let (from, to) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    let Some(history) = world.history(id) else {
        return 0;
    };
    let tokens = history.up_to(to).tokens_after(from.max(history.base));
    tokens.iter().filter(|token| token.weighs()).count() as i64 * COMMAND_BYTES as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use psync_model::cover::run;
    use psync_model::decision::Refusal;
    use psync_model::rulebook::Era;
    use psync_model::rules::Setting;
    use psync_model::step::Step;
    use psync_model::token::COMMAND_UNITS;
    use psync_model::world::{NodeId, Topology};

    #[test]
    fn every_data_command_is_exactly_as_long_as_a_command() {
        for count in [1, 10, 9_999] {
            assert_eq!(KeyValue::numbered(count).command().len(), COMMAND_BYTES);
            let halves = KeyValue::of_transaction(count).map(|pair| pair.command().len());
            assert_eq!(halves.iter().sum::<usize>(), COMMAND_BYTES);
        }
    }

    fn at(id: u8, offset: i16) -> Label {
        Label {
            id: Id(id),
            offset: ReplOffset(offset),
        }
    }

    #[test]
    fn what_is_bound_stays_bound() {
        let (world, mut binding) = (World::pair(), Binding::default());
        assert!(binding.bind_name(Id(1), "ABC"));
        assert!(binding.bind_name(Id(1), "abc"));
        assert!(!binding.bind_name(Id(1), "def"));
        assert!(
            !binding.bind_name(Id(2), "abc"),
            "two histories never share a name"
        );
        assert!(binding.bind_byte(&world, at(1, 0), 100));
        assert!(!binding.bind_byte(&world, at(1, 0), 101));
    }

    /// A primary that has written once since it has a replica, and where it was before.
    fn after_a_write() -> (World, Label) {
        let (replica, node) = (NodeId::Replica, NodeId::Primary);
        let setting = Setting {
            book: Era::Psync2V7.rulebook(),
            backlog_commands: 1,
            databases: false,
            mutant: None,
        };
        let steps = [
            Step::Ask { replica },
            Step::DeclinePartial {
                replica,
                refusal: Refusal::NoLabel,
            },
            Step::Write { node },
        ];
        let worlds = run(&setting, Topology::Pair, &steps);
        assert_eq!(worlds.len(), 1 + steps.len());
        (worlds[3], worlds[2].node(node).label())
    }

    #[test]
    fn boundaries_lie_a_command_apart_and_heads_just_behind_them() {
        let (world, label) = after_a_write();
        let end = Label {
            offset: label.offset.plus(COMMAND_UNITS),
            ..label
        };
        let mut binding = Binding::default();
        assert!(binding.bind_byte(&world, label, 100));
        assert!(!binding.bind_byte(&world, end, 101));
        assert!(binding.bind_byte(&world, end, 100 + 23 + COMMAND_BYTES as i64));
        let head = binding.byte(label.id, label.offset.plus(1));
        assert_eq!(head, Some(100 + HEAD_BYTES));
        assert_eq!(binding.byte(Id(label.id.0 + 1), label.offset), None);
    }
}
