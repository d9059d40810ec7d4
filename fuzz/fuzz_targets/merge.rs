#![no_main]
//! Any values are merged, patched and compared.

use kstate::merge::deep::deep;
use kstate::merge::diff_ops::diff_ops;
use kstate::merge::document::Document;
use kstate::merge::json_patch::json_patch;
use kstate::merge::lists::Lists;
use kstate::merge::patch::patch;
use kstate::merge::text::{Labels, three_way_text};
use kstate::merge::three_way::three_way;
use libfuzzer_sys::fuzz_target;
use serde_yaml::Value;

fn value(text: &str) -> Option<Value> {
    // Only what a document may hold is bounded in depth and in what its aliases stand for.
    let document = Document::parse(text).ok()?;
    document.values().next().cloned()
}

fuzz_target!(|input: (&str, &str, &str)| {
    let (a, b, c) = input;
    let labels = Labels {
        ours: "ours",
        theirs: "theirs",
    };
    assert_eq!(three_way_text(a, b, a, &labels).text, b);
    assert_eq!(three_way_text(a, a, b, &labels).text, b);
    three_way_text(a, b, c, &labels);
    let (Some(a), Some(b), Some(c)) = (value(a), value(b), value(c)) else {
        return;
    };
    let lists = Lists::kops();
    assert_eq!(three_way(&a, &a, &b, &lists).0, b);
    assert_eq!(three_way(&a, &b, &a, &lists).0, b);
    three_way(&a, &b, &c, &lists);
    deep(&a, &b, &lists);
    patch(&a, &b);
    let operations = diff_ops(&a, &b);
    assert_eq!(json_patch(&a, &operations).as_ref(), Ok(&b));
});
