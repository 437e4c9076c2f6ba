//! A data set as the judge compares it: strings in numbered databases, without expiry. Two servers agree when their
//! data sets are equal, never because their offsets are.
use std::collections::BTreeMap;
use std::fmt;

use crate::transcript::shortened;

/// The number of databases the judge looks at: what servers have unless told otherwise.
pub const MAX_DATABASES: u32 = 16;

/// Keys and values of each database; a database without keys is not in it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct DataSet {
    databases: BTreeMap<u32, BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl DataSet {
    /// No key in any database.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one key.
    pub fn insert(&mut self, database: u32, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.databases
            .entry(database)
            .or_default()
            .insert(key.into(), value.into());
    }

    /// Removes one key, and its database when that was the last.
    pub fn remove(&mut self, database: u32, key: &[u8]) {
        if let Some(keys) = self.databases.get_mut(&database) {
            keys.remove(key);
            if keys.is_empty() {
                self.databases.remove(&database);
            }
        }
    }

    /// The value of one key.
    pub fn get(&self, database: u32, key: &[u8]) -> Option<&[u8]> {
        self.databases.get(&database)?.get(key).map(Vec::as_slice)
    }

    /// The databases that hold keys, in order.
    pub fn databases(&self) -> impl Iterator<Item = (u32, &BTreeMap<Vec<u8>, Vec<u8>>)> {
        self.databases.iter().map(|(&number, keys)| (number, keys))
    }

    /// The number of keys in all databases.
    pub fn len(&self) -> usize {
        self.databases.values().map(BTreeMap::len).sum()
    }

    /// Whether no database holds a key.
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }
}

impl fmt::Debug for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self
            .databases()
            .flat_map(|(number, keys)| keys.iter().map(move |(key, value)| (number, key, value)));
        let shown: Vec<String> = keys
            .map(|(number, key, value)| format!("{number}:{}={}", shortened(key), shortened(value)))
            .collect();
        write!(f, "{{{}}}", shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_without_keys_is_equal_to_no_database() {
        let mut data = DataSet::new();
        data.insert(3, "a", "1");
        assert_eq!(data.get(3, b"a"), Some(b"1".as_slice()));
        assert_eq!(format!("{data:?}"), "{3:a=1}");
        data.remove(3, b"a");
        assert_eq!(data, DataSet::new());
    }
}
