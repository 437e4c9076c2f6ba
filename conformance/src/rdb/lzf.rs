//! Unpacks LZF, the only compression of the format: runs of literal bytes and copies of earlier output.

/// The most output one input byte can stand for: three bytes describe a copy of at most 264.
const MAX_EXPANSION: u64 = 264;

/// Unpacks into exactly `claimed` bytes, or nothing when the input is not that. A claim that so few bytes cannot keep
/// is refused before anything is allocated.
pub(super) fn unpack(input: &[u8], claimed: u64) -> Option<Vec<u8>> {
    if claimed > input.len() as u64 * MAX_EXPANSION {
        return None;
    }
    let claimed = claimed as usize;
    let mut out = Vec::with_capacity(claimed);
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        rest = if control < 32 {
            literal(&mut out, control, after)?
        } else {
            copy(&mut out, control, after)?
        };
        if out.len() > claimed {
            return None;
        }
    }
    (out.len() == claimed).then_some(out)
}

fn literal<'a>(out: &mut Vec<u8>, control: u8, rest: &'a [u8]) -> Option<&'a [u8]> {
    let (run, rest) = rest.split_at_checked(usize::from(control) + 1)?;
    out.extend_from_slice(run);
    Some(rest)
}

/// Copies byte by byte, because a copy may read what it has just written.
fn copy<'a>(out: &mut Vec<u8>, control: u8, rest: &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = match usize::from(control >> 5) {
        7 => rest
            .split_first()
            .map(|(&more, rest)| (7 + usize::from(more) + 2, rest))?,
        short => (short + 2, rest),
    };
    let (&low, rest) = rest.split_first()?;
    let back = (usize::from(control & 0x1f) << 8) + usize::from(low) + 1;
    let from = out.len().checked_sub(back)?;
    for at in from..from + length {
        out.push(out[at]);
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::unpack;

    #[test]
    fn literal_and_overlapping_copy_unpack() {
        // "ab" and a copy of nine bytes from two back: abababababa.
        assert_eq!(
            unpack(&[1, b'a', b'b', 0xe0, 0, 1], 11).unwrap(),
            b"abababababa"
        );
    }

    #[test]
    fn claims_that_the_input_cannot_keep_are_refused() {
        assert_eq!(unpack(&[0, b'a'], u64::MAX), None);
        assert_eq!(unpack(&[0, b'a'], 2), None);
        assert_eq!(unpack(&[0x20, 9], 3), None);
        assert_eq!(unpack(&[31, b'a'], 32), None);
        assert_eq!(unpack(&[0xe0], 9), None);
    }
}
