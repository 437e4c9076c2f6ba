//! Whatever is called a profile, it is refused with a sentence or can be used.
#![no_main]

use psync_conformance::profile::Profile;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match Profile::parse(text, "an input") {
        Ok(profile) => assert!(!profile.name.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
