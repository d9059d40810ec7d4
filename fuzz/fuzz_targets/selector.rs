#![no_main]
//! Any path is read or refused, and prints as what reads as the same.

use kstate_fuzz::merge::path::Selector;
use libfuzzer_sys::fuzz_target;

/// What is printed may be twice as long, and what has more than 4 KiB is not read.
const LONGEST: usize = 2048;

fuzz_target!(|text: &str| {
    if text.len() <= LONGEST
        && let Ok(selector) = text.parse::<Selector>()
    {
        let again: Selector = selector.to_string().parse().expect("what was printed");
        assert_eq!(again, selector);
    }
});
