#![no_main]
//! Any manifest is checked, and changed as typed or not at all.

use kstate_fuzz::config::change::{Change, apply};
use kstate_fuzz::config::fields::Kind;
use kstate_fuzz::config::validate::{self, Object};
use kstate_fuzz::merge::document::Document;
use kstate_fuzz::parts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let [typed, text] = parts(input);
    let Ok(document) = Document::parse(text) else {
        return;
    };
    for kind in Kind::ALL {
        let _ = validate::object(object(&document, 0), kind);
        let changes = [Change::set(kind, typed), Change::unset(kind, typed)];
        for change in changes.into_iter().flatten() {
            let mut changed = document.clone();
            match apply(&mut changed, 0, kind, &[change], false) {
                Ok(_) => {
                    let _ = validate::change(object(&document, 0), object(&changed, 0));
                }
                Err(_) => assert_eq!(changed.text(), text),
            }
        }
    }
    let _ = validate::cluster(object(&document, 0), &[object(&document, 1)]);
});

fn object(document: &Document, part: usize) -> Object<'_> {
    Object {
        file: "file",
        name: None,
        document,
        part,
    }
}
