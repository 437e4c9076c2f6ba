//! The compact forms in which Redis stores small collections in one string: ziplist, listpack, intset and zipmap.
//!
//! Each function takes a whole string and returns the elements in it, or `None` if it is anything else than a well-formed
//! whole: announced sizes and counts must agree with what is there. Lengths are only ever compared with the bytes
//! present. Each element takes at least a byte here and some thirty in memory. Learned from the comments in
//! `ziplist.c`, `listpack.c`, `intset.c` and `zipmap.c` of Redis 7.0.

use crate::keyspace::Blob;

/// The byte that ends ziplists, listpacks and zipmaps.
const END: u8 = 0xff;

/// A count of this value in a ziplist or listpack says that there are more, uncounted.
const UNCOUNTED: u16 = u16::MAX;

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    take(rest, N)?.try_into().ok()
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    array::<1>(rest).map(|[byte]| byte)
}

fn decimal(number: i64) -> Blob {
    Blob::from(number.to_string())
}

/// A signed number of 24 bits, little end first.
fn number_24(bytes: [u8; 3]) -> i64 {
    let [low, middle, high] = bytes;
    i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
}

fn string(rest: &mut &[u8], length: usize) -> Option<Blob> {
    take(rest, length).map(Blob::copy)
}

/// Reads elements up to the end mark and compares their number with the one announced.
fn elements(
    mut rest: &[u8],
    count: u16,
    element: fn(&mut &[u8]) -> Option<Blob>,
) -> Option<Vec<Blob>> {
    let mut found = Vec::new();
    while *rest.first()? != END {
        found.push(element(&mut rest)?);
    }
    let counted = count == UNCOUNTED || usize::from(count) == found.len();
    (rest.len() == 1 && counted).then_some(found)
}

/// Bytes in all, offset of the last entry, number of entries, entries, end.
pub(super) fn ziplist(bytes: &[u8]) -> Option<Vec<Blob>> {
    let mut rest = bytes;
    let whole = u32::from_le_bytes(array(&mut rest)?);
    let _last: [u8; 4] = array(&mut rest)?;
    let count = u16::from_le_bytes(array(&mut rest)?);
    if whole as usize != bytes.len() {
        return None;
    }
    elements(rest, count, ziplist_entry)
}

/// Length of the entry before, one byte of encoding, contents.
fn ziplist_entry(rest: &mut &[u8]) -> Option<Blob> {
    /// In the place of a length that does not fit into one byte: four bytes follow.
    const LONG: u8 = 0xfe;
    if byte(rest)? == LONG {
        take(rest, 4)?;
    }
    let encoding = byte(rest)?;
    let low = usize::from(encoding & 0x3f);
    match encoding {
        0x00..=0x3f => string(rest, low),
        0x40..=0x7f => {
            let length = low << 8 | usize::from(byte(rest)?);
            string(rest, length)
        }
        0x80..=0xbf => {
            let length = u32::from_be_bytes(array(rest)?) as usize;
            string(rest, length)
        }
        0xc0 => Some(decimal(i16::from_le_bytes(array(rest)?).into())),
        0xd0 => Some(decimal(i32::from_le_bytes(array(rest)?).into())),
        0xe0 => Some(decimal(i64::from_le_bytes(array(rest)?))),
        0xf0 => Some(decimal(number_24(array(rest)?))),
        0xfe => Some(decimal(i8::from_le_bytes(array(rest)?).into())),
        0xf1..=0xfd => Some(decimal(i64::from(encoding & 0x0f) - 1)),
        _ => None,
    }
}

/// Bytes in all, number of entries, entries, end.
pub(super) fn listpack(bytes: &[u8]) -> Option<Vec<Blob>> {
    let mut rest = bytes;
    let whole = u32::from_le_bytes(array(&mut rest)?);
    let count = u16::from_le_bytes(array(&mut rest)?);
    if whole as usize != bytes.len() {
        return None;
    }
    elements(rest, count, listpack_entry)
}

/// One byte of encoding, contents, and the length of both in groups of seven bits.
fn listpack_entry(rest: &mut &[u8]) -> Option<Blob> {
    let before = rest.len();
    let encoding = byte(rest)?;
    let element = match encoding {
        0x00..=0x7f => decimal(encoding.into()),
        0x80..=0xbf => string(rest, usize::from(encoding & 0x3f))?,
        0xc0..=0xdf => {
            // Thirteen bits with a sign: five in the first byte, eight in the second.
            let number = u16::from_be_bytes([encoding, byte(rest)?]) << 3;
            decimal((number.cast_signed() >> 3).into())
        }
        0xe0..=0xef => {
            let length = usize::from(encoding & 0x0f) << 8 | usize::from(byte(rest)?);
            string(rest, length)?
        }
        0xf0 => {
            let length = u32::from_le_bytes(array(rest)?) as usize;
            string(rest, length)?
        }
        0xf1 => decimal(i16::from_le_bytes(array(rest)?).into()),
        0xf2 => decimal(number_24(array(rest)?)),
        0xf3 => decimal(i32::from_le_bytes(array(rest)?).into()),
        0xf4 => decimal(i64::from_le_bytes(array(rest)?)),
        _ => return None,
    };
    let length = before - rest.len();
    let groups = (usize::BITS - length.leading_zeros()).div_ceil(7).max(1);
    take(rest, groups as usize)?;
    Some(element)
}

/// Width in bytes, number of integers, integers.
pub(super) fn intset(bytes: &[u8]) -> Option<Vec<Blob>> {
    let mut rest = bytes;
    let width = u32::from_le_bytes(array(&mut rest)?) as usize;
    let count = u32::from_le_bytes(array(&mut rest)?) as usize;
    if rest.len() != count.checked_mul(width)? {
        return None;
    }
    let number = |bytes: &[u8]| match width {
        2 => Some(i16::from_le_bytes(bytes.try_into().ok()?).into()),
        4 => Some(i32::from_le_bytes(bytes.try_into().ok()?).into()),
        8 => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
        _ => None,
    };
    let chunks = rest.chunks_exact(width.max(1));
    chunks.map(|bytes| number(bytes).map(decimal)).collect()
}

/// Number of pairs; then for each the field with its length, the length of the value, the number of unused bytes after
/// it, the value; end.
pub(super) fn zipmap(bytes: &[u8]) -> Option<Vec<Blob>> {
    /// In the place of a number of pairs or a length that does not fit into one byte.
    const LONG: u8 = 0xfe;
    let length = |rest: &mut &[u8]| match byte(rest)? {
        LONG => Some(u32::from_le_bytes(array(rest)?) as usize),
        END => None,
        short => Some(usize::from(short)),
    };
    let mut rest = bytes;
    let count = byte(&mut rest)?;
    let mut found = Vec::new();
    while *rest.first()? != END {
        let field = length(&mut rest)?;
        found.push(string(&mut rest, field)?);
        let value = length(&mut rest)?;
        let unused = byte(&mut rest)?;
        found.push(string(&mut rest, value)?);
        take(&mut rest, usize::from(unused))?;
    }
    let counted = count >= LONG || usize::from(count) * 2 == found.len();
    (rest.len() == 1 && counted).then_some(found)
}
