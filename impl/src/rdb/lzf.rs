//! Decompression of LZF, the only compression the format knows.
//!
//! A control byte below 32 announces that many literal bytes plus one; any other is a copy from what has been written
//! already: three bits of length (7 means that a byte follows), thirteen bits of distance.

/// LZF turns at most this many bytes into one byte of input: a copy of 264 bytes takes three, so 88 to one. An announced
/// length beyond that is a lie, and is found out before memory is taken for it.
const BEST_RATIO: usize = 88;

/// Literals are announced by control bytes below this.
const COPY: u8 = 32;

/// The decompressed bytes, exactly `length` of them, or `None` if the input does not hold them. At most 88 times the
/// input is allocated.
pub(super) fn decompress(input: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > input.len().checked_mul(BEST_RATIO)? {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    let mut rest = input;
    while let Some((control, after)) = rest.split_first() {
        rest = if *control < COPY {
            let (literals, after) = after.split_at_checked(usize::from(*control) + 1)?;
            out.extend_from_slice(literals);
            after
        } else {
            copy(*control, after, &mut out, length)?
        };
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

/// Carries out one copy and hands back the rest of the input.
fn copy<'a>(control: u8, input: &'a [u8], out: &mut Vec<u8>, limit: usize) -> Option<&'a [u8]> {
    let (extra, input) = match control >> 5 {
        7 => input
            .split_first()
            .map(|(extra, rest)| (usize::from(*extra), rest))?,
        _ => (0, input),
    };
    let (low, rest) = input.split_first()?;
    let count = usize::from(control >> 5) + extra + 2;
    let distance = (usize::from(control & 0x1f) << 8 | usize::from(*low)) + 1;
    let start = out.len().checked_sub(distance)?;
    if out.len() + count > limit {
        return None;
    }
    // Byte by byte, because a copy may read what it has just written.
    for at in start..start + count {
        out.push(out[at]);
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn literals_and_overlapping_copies() {
        assert_eq!(
            decompress(&[2, b'a', b'b', b'c'], 3).as_deref(),
            Some(&b"abc"[..])
        );
        assert_eq!(
            decompress(&[0, b'a', 0x20, 0], 4).as_deref(),
            Some(&b"aaaa"[..])
        );
        assert_eq!(
            decompress(&[0, b'a', 0xe0, 255, 0], 265).as_deref(),
            Some(&[b'a'; 265][..])
        );
        assert_eq!(decompress(&[], 0).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn hostile_inputs_are_refused() {
        let table: [(&[u8], usize); 9] = [
            (&[5, b'a'], 6),
            (&[0x20, 0], 3),
            (&[0, b'a', 0x20, 1], 4),
            (&[0, b'a', 0xe0], 265),
            (&[0, b'a', 0xe0, 255], 265),
            (&[0, b'a', 0x20], 4),
            (&[0, b'a', 0xe0, 255, 0], 10),
            (&[0, b'a'], 2),
            (&[0, b'a'], usize::MAX),
        ];
        for (input, length) in table {
            assert_eq!(decompress(input, length), None, "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..200), length in 0_usize..5_000) {
            if let Some(out) = decompress(&input, length) {
                prop_assert_eq!(out.len(), length);
            }
        }
    }
}
