//! The merge patch (RFC 7396) that makes one value of another.

use serde_yaml::{Mapping, Value};

use super::document::{Path, Step};
use super::pointer::key_text;

/// A null that no merge patch can set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a merge patch can't set {path} to null, because null removes a key there (RFC 7396): use a \
     JSON Patch (RFC 6902) for this change"
)]
pub struct NullError {
    /// Where the null is to be.
    pub path: Path,
}

/// The smallest merge patch that makes `to` of `from`: `patch(from, diff(from, to)) == to`. It
/// holds lists whole; [`diff_ops`](super::diff_ops::diff_ops) tells which element changed.
///
/// # Errors
/// [`NullError`] where `to` has a null that `from` does not have.
pub fn diff(from: &Value, to: &Value) -> Result<Value, NullError> {
    changed(from, to, &mut Vec::new())
}

fn changed(from: &Value, to: &Value, path: &mut Vec<Step>) -> Result<Value, NullError> {
    let Value::Mapping(to) = to else {
        return Ok(to.clone());
    };
    let nothing = Mapping::new();
    let from = match from {
        Value::Mapping(from) => from,
        _ => &nothing,
    };
    let mut merge_patch = Mapping::new();
    for key in from.keys().filter(|key| !to.contains_key(key)) {
        merge_patch.insert(key.clone(), Value::Null);
    }
    for (key, to) in to {
        let from = from.get(key);
        if from == Some(to) {
            continue;
        }
        path.push(Step::Key(key_text(key).into_owned()));
        if *to == Value::Null {
            return Err(NullError {
                path: Path(path.clone()),
            });
        }
        let value = changed(from.unwrap_or(&Value::Null), to, path)?;
        merge_patch.insert(key.clone(), value);
        path.pop();
    }
    Ok(Value::Mapping(merge_patch))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merge::deep::random::{documents, edits, values};
    use crate::merge::patch::patch;

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn tells_what_changed() {
        for (from, to, expected) in [
            ("{a: 1, b: 2}", "{b: 2, a: 1}", "{}"),
            ("{a: 1, b: 2}", "{b: 3}", "{a: null, b: 3}"),
            ("{s: {a: 1, b: 2}}", "{s: {a: 1, b: 3}}", "{s: {b: 3}}"),
            ("{s: [1, 2]}", "{s: [1, 2, 3]}", "{s: [1, 2, 3]}"),
            ("{s: 1}", "{s: {a: {}}}", "{s: {a: {}}}"),
            ("{s: {a: 1}}", "{s: {}}", "{s: {a: null}}"),
            ("{n: null}", "{n: null, a: 1}", "{a: 1}"),
            ("{n: null}", "{}", "{n: null}"),
            ("{100: 1, '100': 1}", "{100: 2, '100': 1}", "{100: 2}"),
            ("1", "null", "null"),
            ("{}", "[{a: null}]", "[{a: null}]"),
            ("{a: 1}", "{a: !t {b: null}}", "{a: !t {b: null}}"),
        ] {
            let found = diff(&yaml(from), &yaml(to));
            assert_eq!(found, Ok(yaml(expected)), "{from} -> {to}");
        }
    }

    #[test]
    fn a_null_is_refused_with_its_place_and_the_way_out() {
        let error = diff(&yaml("{s: {a: 1}}"), &yaml("{s: {a: 1, n: {x: null}}}")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a merge patch can't set s.n.x to null, because null removes a key there (RFC 7396): \
             use a JSON Patch (RFC 6902) for this change"
        );
        assert!(diff(&yaml("{a: {n: null}}"), &yaml("{a: {n: null, b: 1}}")).is_ok());
        assert!(diff(&yaml("{a: 1}"), &yaml("{a: null}")).is_err());
        assert!(diff(&yaml("1"), &yaml("{a: null}")).is_err());
    }

    /// Whether a mapping, in mappings only, holds a null.
    fn has_null(value: &Value) -> bool {
        match value {
            Value::Mapping(mapping) => mapping
                .values()
                .any(|value| *value == Value::Null || has_null(value)),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn patching_with_the_difference_makes_the_other(a in values(), b in values()) {
            match diff(&a, &b) {
                Ok(found) => prop_assert_eq!(patch(&a, &found), b),
                Err(_) => prop_assert!(has_null(&b)),
            }
        }

        #[test]
        fn so_it_does_after_edits((a, edited) in edits(1)) {
            let b = &edited[0];
            match diff(&a, b) {
                Ok(found) => prop_assert_eq!(&patch(&a, &found), b),
                Err(_) => prop_assert!(has_null(b)),
            }
        }

        #[test]
        fn no_difference_is_the_empty_patch(a in documents()) {
            prop_assert_eq!(diff(&a, &a), Ok(yaml("{}")));
        }
    }
}
