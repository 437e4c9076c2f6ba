//! Hashes: fields with values.

use super::blob::Blob;
use super::place::{Place, scaled};
use super::tree::{Item, Tree};

#[derive(Debug, Clone)]
struct Field {
    place: Place,
    value: Blob,
}

impl Item for Field {
    type Key = Place;

    fn key(&self) -> &Place {
        &self.place
    }
}

/// A map from fields to values, in the fixed order of hashed fields.
#[derive(Debug, Clone, Default)]
pub struct Hash {
    fields: Tree<Field>,
}

impl Hash {
    /// Number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&Blob> {
        self.fields.look_up(field).map(|found| &found.value)
    }

    /// Gives a field a value and returns the one it had.
    pub fn insert(&mut self, field: Blob, value: Blob) -> Option<Blob> {
        let place = Place::of(field);
        let previous = self.fields.put(Field { place, value });
        previous.map(|field| field.value)
    }

    /// Takes out a field and returns its value.
    pub fn remove(&mut self, field: &[u8]) -> Option<Blob> {
        self.fields.take(field).map(|field| field.value)
    }

    /// All fields with their values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Blob, &Blob)> {
        self.range(0)
    }

    /// The fields from an index of the fixed order on, with their values.
    pub fn range(&self, start: usize) -> impl ExactSizeIterator<Item = (&Blob, &Blob)> {
        let fields = self.fields.range(start, self.len());
        fields.map(|field| (&field.place.key, &field.value))
    }

    /// A field and its value chosen by a number; each equally often.
    pub fn choose(&self, seed: u64) -> Option<(&Blob, &Blob)> {
        self.range(scaled(seed, self.len())).next()
    }

    /// The next fields of a scan and the next cursor; see [`super::Keyspace::scan`].
    pub fn scan(&self, cursor: u64, count: usize) -> (u64, Vec<(&Blob, &Blob)>) {
        let (next, fields) = self.fields.scan(cursor, count);
        let pairs = fields.into_iter();
        (
            next,
            pairs
                .map(|field| (&field.place.key, &field.value))
                .collect(),
        )
    }
}

impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Hash {}
