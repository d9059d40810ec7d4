#![no_main]
//! Any path is read or refused, and prints as what reads as the same.

use kstate_fuzz::merge::path::Selector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(selector) = text.parse::<Selector>() {
        let again: Selector = selector.to_string().parse().expect("what was printed");
        assert_eq!(again, selector);
    }
});
