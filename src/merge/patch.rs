//! JSON Merge Patch (RFC 7396).

use serde_yaml::{Mapping, Value};

/// Applies a merge patch: mappings are merged by key, a null removes its key, anything else
/// replaces what was there, lists as a whole. What is no mapping or stands in a list or under a
/// tag is taken as it is, nulls included.
#[must_use]
pub fn patch(target: &Value, patch: &Value) -> Value {
    let mut patched = target.clone();
    apply(&mut patched, patch);
    patched
}

fn apply(target: &mut Value, patch: &Value) {
    let Value::Mapping(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    let mut merged = match std::mem::take(target) {
        Value::Mapping(target) => target,
        _ => Mapping::new(),
    };
    merged.retain(|key, _| patch.get(key) != Some(&Value::Null));
    for (key, patch) in patch.iter().filter(|(_, patch)| **patch != Value::Null) {
        apply(merged.entry(key.clone()).or_insert(Value::Null), patch);
    }
    *target = Value::Mapping(merged);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    /// RFC 7396, appendix A.
    #[test]
    fn does_what_the_rfc_says() {
        for (target, with, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b", "b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b", "b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a": {"b": "c"}}"#,
                r#"{"a": {"b": "d", "c": null}}"#,
                r#"{"a": {"b": "d"}}"#,
            ),
            (r#"{"a": [{"b":"c"}]}"#, r#"{"a": [1]}"#, r#"{"a": [1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null, "a":1}"#),
            ("[1,2]", r#"{"a":"b", "c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let patched = patch(&yaml(target), &yaml(with));
            assert_eq!(patched, yaml(expected), "{target} with {with}");
        }
    }

    #[test]
    fn order_tags_and_keys_that_are_no_strings_survive() {
        let target = yaml("{z: 1, 100: {a: x}, y: !t {q: 1}, m: 2, b: 3}");
        let patched = patch(
            &target,
            &yaml("{m: null, 100: {b: y}, y: !t {q: null}, c: 4}"),
        );
        assert_eq!(
            serde_yaml::to_string(&patched).unwrap(),
            "z: 1\n100:\n  a: x\n  b: y\ny: !t\n  q: null\nb: 3\nc: 4\n"
        );
    }

    #[test]
    fn changes_a_cluster() {
        let cluster = yaml(
            "spec: {kubernetesVersion: 1.30.0, sshKeyName: k, subnets: [{name: a}, {name: b}]}",
        );
        let with =
            yaml("spec: {kubernetesVersion: 1.31.2, sshKeyName: null, subnets: [{name: a}]}");
        assert_eq!(
            patch(&cluster, &with),
            yaml("spec: {kubernetesVersion: 1.31.2, subnets: [{name: a}]}")
        );
    }
}
