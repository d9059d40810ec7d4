#![no_main]
//! Any text is read or refused, and edited as intended or not at all.

use kstate_fuzz::merge::document::Document;
use kstate_fuzz::merge::path::Selector;
use kstate_fuzz::parts;
use libfuzzer_sys::fuzz_target;
use serde_yaml::Value;

fuzz_target!(|input: &str| {
    let [path, value, text] = parts(input);
    let (Ok(document), Ok(selector)) = (Document::parse(text), path.parse::<Selector>()) else {
        return;
    };
    let Some(root) = document.values().next().cloned() else {
        return;
    };
    for path in selector.resolve(&root).into_iter().flatten().take(4) {
        let mut edited = document.clone();
        match edited.set(0, &path, value) {
            Ok(()) => assert_eq!(edited.get(0, &path).and_then(Value::as_str), Some(value)),
            Err(_) => assert_eq!(edited.text(), text),
        }
        let mut edited = document.clone();
        if edited.unset(0, &path).is_err() {
            assert_eq!(edited.text(), text);
        }
    }
    if let Ok(intended) = Document::parse(value) {
        let Some(intended) = intended.values().next() else {
            return;
        };
        let mut edited = document.clone();
        match edited.apply(0, intended) {
            Ok(()) => assert_eq!(edited.values().next(), Some(intended)),
            Err(_) => assert_eq!(edited.text(), text),
        }
    }
});
