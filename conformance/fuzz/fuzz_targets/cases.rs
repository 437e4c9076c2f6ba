//! Whatever is called a case, it is refused or is a plan; what was read is written, and read again the same.
#![no_main]

use psync_model::case::Case;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(case) = Case::read(input) else {
        return;
    };
    let mut written = Vec::new();
    case.write(&mut written).expect("memory takes everything");
    let again = Case::read(&written[..]).expect("what we have written can be read");
    assert_eq!(again.steps, case.steps);
});
