#![no_main]
//! Any values are merged, patched and compared.

use kstate_fuzz::merge::deep::deep;
use kstate_fuzz::merge::diff_ops::diff_ops;
use kstate_fuzz::merge::document::Document;
use kstate_fuzz::merge::json_patch::json_patch;
use kstate_fuzz::merge::lists::Lists;
use kstate_fuzz::merge::patch::patch;
use kstate_fuzz::merge::text::{Labels, three_way_text};
use kstate_fuzz::merge::three_way::three_way;
use kstate_fuzz::parts;
use libfuzzer_sys::fuzz_target;
use serde_yaml::Value;

fn value(text: &str) -> Option<Value> {
    // Only what a document may hold is bounded in depth and in what its aliases stand for.
    let document = Document::parse(text).ok()?;
    document.values().next().cloned()
}

fuzz_target!(|input: &str| {
    let [a, b, c] = parts(input);
    let labels = Labels {
        ours: "ours",
        theirs: "theirs",
    };
    assert_eq!(three_way_text(a, b, a, &labels).text, b);
    assert_eq!(three_way_text(a, a, b, &labels).text, b);
    let _ = three_way_text(a, b, c, &labels);
    let (Some(a), Some(b), Some(c)) = (value(a), value(b), value(c)) else {
        return;
    };
    let lists = Lists::kops();
    assert_eq!(three_way(&a, &a, &b, &lists).0, b);
    assert_eq!(three_way(&a, &b, &a, &lists).0, b);
    let _ = three_way(&a, &b, &c, &lists);
    let _ = deep(&a, &b, &lists);
    let _ = patch(&a, &b);
    let operations = diff_ops(&a, &b);
    assert_eq!(json_patch(&a, &operations).as_ref(), Ok(&b));
});
