//! Lengths: one, two, five or nine bytes, with the two top bits of the first saying which.

use bytes::{BufMut, BytesMut};

/// The first byte of a length of 32 bits.
pub(super) const LENGTH_32: u8 = 0x80;

/// The first byte of a length of 64 bits.
pub(super) const LENGTH_64: u8 = 0x81;

/// Writes a length in the shortest form. More than 32 bits would need version 8, and no string or database is so large.
pub(super) fn put(out: &mut BytesMut, length: usize) {
    match length {
        0..0x40 => out.put_u8(length as u8),
        0x40..0x4000 => out.put_u16(0x4000 | length as u16),
        0x4000..=0xffff_ffff => {
            out.put_u8(LENGTH_32);
            out.put_u32(length as u32);
        }
        _ => {
            out.put_u8(LENGTH_64);
            out.put_u64(length as u64);
        }
    }
}

/// Writes a string, plain.
pub(super) fn put_string(out: &mut BytesMut, bytes: &[u8]) {
    put(out, bytes.len());
    out.put_slice(bytes);
}
