//! Bytes that are stored for long: keys, strings and the elements of collections, frugal where they are small.
//!
//! A blob takes 24 bytes. Up to [`INLINE_BYTES`] it needs nothing else; longer ones are shared, so that a copy costs a
//! reference count whatever the length. What came from a connection is copied while it is a small part of the buffer it
//! came in, and keeps the buffer when it is most of it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

/// Bytes that fit into a blob itself: with tag and length they fill three words. Every 64-bit integer fits.
pub(super) const INLINE_BYTES: usize = 22;

/// Blobs shorter than this are copied when they come from a connection, so that they do not keep a whole input buffer
/// alive; longer ones are most of the buffer, and copying them would cost more than it saves.
const COPY_BELOW_BYTES: usize = 32 * 1024;

/// The two counts of references in front of what is shared.
const COUNTS_BYTES: usize = 16;

/// Some bytes. Two blobs are equal when their bytes are, whatever holds them.
#[derive(Clone)]
pub struct Blob(Form);

#[derive(Clone)]
enum Form {
    Inline {
        length: u8,
        bytes: [u8; INLINE_BYTES],
    },
    Shared(Arc<[u8]>),
    /// The buffer of a connection.
    Received(Arc<Bytes>),
    /// Written to in place as long as nobody shares it.
    Editable(Arc<Vec<u8>>),
}

impl Blob {
    /// No bytes.
    pub const EMPTY: Self = Self(Form::Inline {
        length: 0,
        bytes: [0; INLINE_BYTES],
    });

    /// A copy of some bytes.
    pub fn copy(source: &[u8]) -> Self {
        if source.len() > INLINE_BYTES {
            return Self(Form::Shared(Arc::from(source)));
        }
        let mut bytes = [0; INLINE_BYTES];
        bytes[..source.len()].copy_from_slice(source);
        Self(Form::Inline {
            length: source.len() as u8,
            bytes,
        })
    }

    /// Becomes other bytes; in the same memory if nobody shares it and they are as many.
    pub(super) fn assign(&mut self, source: &Bytes) {
        if let Form::Shared(bytes) = &mut self.0
            && bytes.len() == source.len()
            && let Some(own) = Arc::get_mut(bytes)
        {
            return own.copy_from_slice(source);
        }
        *self = Self::from(source);
    }

    /// The bytes as a vector to write to. After the first call they are changed in place while no snapshot shares them,
    /// so that appending costs what is appended.
    pub fn edit(&mut self) -> &mut Vec<u8> {
        if !matches!(self.0, Form::Editable(_)) {
            self.0 = Form::Editable(Arc::new(self.to_vec()));
        }
        match &mut self.0 {
            Form::Editable(vector) => Arc::make_mut(vector),
            _ => unreachable!("the form was made editable a line above"),
        }
    }

    /// Whether the bytes are kept as a vector, to be written to in place.
    pub fn is_editable(&self) -> bool {
        matches!(self.0, Form::Editable(_))
    }

    /// Bytes of memory beside the blob itself.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Inline { .. } => 0,
            Form::Shared(bytes) => bytes.len() + COUNTS_BYTES,
            Form::Received(bytes) => bytes.len() + COUNTS_BYTES + size_of::<Bytes>(),
            Form::Editable(bytes) => bytes.capacity() + COUNTS_BYTES + size_of::<Vec<u8>>(),
        }
    }

    /// Reads the memory beside the blob, if it has any; the number means nothing.
    pub(super) fn touch(&self) -> usize {
        match &self.0 {
            Form::Inline { .. } => 0,
            // Both ends, which a short one often has in two lines of the cache.
            Form::Shared(bytes) => {
                Arc::strong_count(bytes) + bytes.last().map_or(0, |byte| usize::from(*byte))
            }
            Form::Received(bytes) => Arc::strong_count(bytes),
            Form::Editable(bytes) => Arc::strong_count(bytes),
        }
    }

    /// The bytes as a buffer of their own; large ones that came from a connection are shared.
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            Form::Received(bytes) => Bytes::clone(bytes),
            _ => Bytes::copy_from_slice(self),
        }
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Form::Shared(bytes) => bytes,
            Form::Received(bytes) => bytes,
            Form::Editable(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<&Bytes> for Blob {
    fn from(bytes: &Bytes) -> Self {
        if bytes.len() < COPY_BELOW_BYTES {
            Self::copy(bytes)
        } else {
            Self(Form::Received(Arc::new(bytes.clone())))
        }
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self::from(&bytes)
    }
}

impl From<&str> for Blob {
    fn from(text: &str) -> Self {
        Self::copy(text.as_bytes())
    }
}

impl From<String> for Blob {
    fn from(text: String) -> Self {
        Self::copy(text.as_bytes())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() > INLINE_BYTES {
            Self(Form::Editable(Arc::new(bytes)))
        } else {
            Self::copy(&bytes)
        }
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Blob {}

impl PartialOrd for Blob {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Blob {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Blob {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialEq<[u8]> for Blob {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_three_words() {
        assert_eq!(size_of::<Blob>(), 24);
    }

    #[test]
    fn every_form_holds_its_bytes() {
        for length in [0, 1, INLINE_BYTES, INLINE_BYTES + 1, COPY_BELOW_BYTES] {
            let bytes = Bytes::from(vec![7_u8; length]);
            let blob = Blob::from(&bytes);
            let mut edited = blob.clone();
            edited.edit().push(8);
            assert_eq!((&blob[..], blob.to_bytes()), (&bytes[..], bytes.clone()));
            assert_eq!(&edited[..], [&bytes[..], &[8]].concat());
            assert_eq!(Blob::from(bytes.to_vec()), blob);
        }
    }

    #[test]
    fn an_assigned_blob_holds_the_new_bytes_and_leaves_its_copies_alone() {
        for (old, new) in [(30, 30), (30, 40), (5, 30), (30, 5)] {
            let mut blob = Blob::copy(&vec![b'o'; old]);
            let new = Bytes::from(vec![b'n'; new]);
            blob.assign(&new);
            let copy = blob.clone();
            assert_eq!(&blob[..], &new[..]);
            blob.assign(&Bytes::from(vec![b'x'; new.len()]));
            assert_eq!(&copy[..], &new[..]);
        }
    }

    #[test]
    fn an_edited_blob_leaves_its_copies_alone() {
        let mut blob = Blob::from("a string longer than the blob itself");
        blob.edit();
        let copy = blob.clone();
        blob.edit().clear();
        assert_eq!((blob.len(), copy.len()), (0, 36));
    }
}
