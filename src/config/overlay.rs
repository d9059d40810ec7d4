//! A part of a manifest, such as a person keeps in a file, laid over the whole one.

use serde_yaml::Value;

use super::fields::{Field, Kind, Misfit, Problem, known_version, misfits, nearest};
use crate::merge::deep::deep;
use crate::merge::document::{Document, Fault, Path, Step};
use crate::merge::lists::Lists;

/// How many faults of a file are told.
const MOST: usize = 20;

/// What in a part of a manifest doesn't fit the API, with line and column.
#[must_use]
pub fn faults(patch: &Document, part: usize, kind: Kind, force_unknown: bool) -> Vec<Fault> {
    let Some(value) = patch.values().nth(part) else {
        return Vec::new();
    };
    if let Err(fault) = known(patch, part) {
        return vec![fault];
    }
    let found = misfits(Field::root(kind), value, &Path::default(), MOST);
    let kept = found
        .into_iter()
        .filter(|misfit| !(force_unknown && misfit.problem == Problem::Unknown));
    kept.map(|Misfit { path, problem }| {
        let (place, message) = match problem {
            Problem::Unknown => {
                let near = nearest(kind, &path);
                let near = near.map_or(String::new(), |near| format!(" (did you mean {near}?)"));
                (
                    patch.key_position(part, &path),
                    format!("{kind} has no field {path}{near}"),
                )
            }
            Problem::Wrong(refusal) => {
                let hint = refusal
                    .hint
                    .map_or(String::new(), |hint| format!("; {hint}"));
                (
                    patch.position(part, &path),
                    format!("{path} {}{hint}", refusal.message),
                )
            }
        };
        Fault {
            line: place.0,
            column: place.1,
            message,
        }
    })
    .collect()
}

/// Whether a document is of the version whose fields are known, if it says of which.
fn known(document: &Document, part: usize) -> Result<(), Fault> {
    let path = Path::keys(&["apiVersion"]);
    let version = document.get(part, &path).and_then(Value::as_str);
    let Some(Err(refusal)) = version.map(known_version) else {
        return Ok(());
    };
    let (line, column) = document.position(part, &path);
    let hint = refusal
        .hint
        .map_or(String::new(), |hint| format!("; {hint}"));
    Err(Fault {
        line,
        column,
        message: format!("it {}{hint}", refusal.message),
    })
}

/// Lays a part of a manifest over a document, and tells which values became others: mappings are
/// merged, a null removes its key, lists whose elements have a key in kOps's API are merged by
/// it, all others are replaced.
///
/// # Errors
/// When the layout of the text doesn't allow it, or the document is of another version of the
/// API; nothing is changed then.
pub fn lay_over(document: &mut Document, part: usize, patch: &Value) -> Result<Vec<Path>, Fault> {
    let Some(old) = document.values().nth(part).cloned() else {
        return Ok(Vec::new());
    };
    known(document, part)?;
    let mut patch = patch.clone();
    if let Some(entries) = patch.as_mapping_mut() {
        // They say what the patch is, not what is to change.
        entries.shift_remove("apiVersion");
        entries.shift_remove("kind");
    }
    let mut merged = deep(&old, &patch, &Lists::kops());
    drop_nulls(&mut merged, &patch);
    let mut changed = Vec::new();
    differences(&old, &merged, &mut Path::default(), &mut changed);
    document.apply(part, &merged)?;
    Ok(changed)
}

/// Removes the keys that are null in the patch.
fn drop_nulls(merged: &mut Value, patch: &Value) {
    match (merged, patch) {
        (Value::Mapping(merged), Value::Mapping(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    merged.shift_remove(key);
                } else if let Some(merged) = merged.get_mut(key) {
                    drop_nulls(merged, value);
                }
            }
        }
        (Value::Sequence(merged), Value::Sequence(patch)) => {
            for element in patch {
                let made = merged.iter_mut().filter(|merged| came_of(merged, element));
                made.for_each(|merged| drop_nulls(merged, element));
            }
        }
        _ => {}
    }
}

/// Whether an element of a list has all that an element of a patch says.
fn came_of(merged: &Value, patch: &Value) -> bool {
    let (Value::Mapping(merged), Value::Mapping(patch)) = (merged, patch) else {
        return false;
    };
    patch.iter().all(|(key, value)| match value {
        Value::Mapping(_) | Value::Sequence(_) => merged.contains_key(key),
        value => merged.get(key) == Some(value),
    })
}

/// The paths at which two values differ, no deeper than one of them goes.
fn differences(old: &Value, new: &Value, path: &mut Path, found: &mut Vec<Path>) {
    match (old, new) {
        (Value::Mapping(old), Value::Mapping(new)) => {
            let gone = old.iter().filter(|(key, _)| !new.contains_key(*key));
            let gone = gone.map(|(key, old)| (key, Some(old), None));
            let there = new.iter().map(|(key, new)| (key, old.get(key), Some(new)));
            for (key, old, new) in gone.chain(there) {
                let key = key.as_str().unwrap_or_default().to_owned();
                below(Step::Key(key), old, new, path, found);
            }
        }
        (Value::Sequence(old), Value::Sequence(new)) => {
            for index in 0..old.len().max(new.len()) {
                below(
                    Step::Index(index),
                    old.get(index),
                    new.get(index),
                    path,
                    found,
                );
            }
        }
        (old, new) if old != new => found.push(path.clone()),
        _ => {}
    }
}

fn below(
    step: Step,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Path,
    found: &mut Vec<Path>,
) {
    path.0.push(step);
    match (old, new) {
        (Some(old), Some(new)) => differences(old, new, path, found),
        _ => found.push(path.clone()),
    }
    path.0.pop();
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
kind: Cluster
spec:
  channel: stable # the usual
  subnets:
  - name: a
    zone: za
  - name: b # the second
    zone: zb
  sshAccess:
  - ::/0
  project: p
";

    #[test]
    fn a_part_changes_what_it_names_and_nothing_else() {
        let patch = "\
apiVersion: kops/v1alpha2
kind: Cluster
spec:
  project: null
  subnets:
  - name: b
    zone: zc
  - name: c
    zone: zd
  sshAccess: [10.0.0.0/8]
";
        let mut document = Document::parse(TEXT).unwrap();
        let patch: Value = serde_yaml::from_str(patch).unwrap();
        let changed = lay_over(&mut document, 0, &patch).unwrap();
        let changed: Vec<_> = changed.iter().map(Path::to_string).collect();
        let expected = [
            "spec.project",
            "spec.subnets[1].zone",
            "spec.subnets[2]",
            "spec.sshAccess[0]",
        ];
        assert_eq!(changed, expected);
        let expected = TEXT
            .replace("zone: zb\n", "zone: zc\n  - name: c\n    zone: zd\n")
            .replace("::/0", "10.0.0.0/8")
            .replace("  project: p\n", "");
        assert_eq!(document.text(), expected);
        assert_eq!(lay_over(&mut document, 0, &patch).unwrap(), []);
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let patch = "spec:\n  kubernetesVersion: 1.30\n  chanel: alpha\n  project: null\n";
        let patch = Document::parse(patch).unwrap();
        let told = |force| {
            let faults = faults(&patch, 0, Kind::Cluster, force);
            faults.iter().map(Fault::to_string).collect::<Vec<_>>()
        };
        let both = told(false);
        assert_eq!(both.len(), 2, "{both:?}");
        assert!(
            both[0].starts_with("line 2, column 22: spec.kubernetesVersion must be a string"),
            "{both:?}"
        );
        assert!(
            both[1].contains(
                "line 3, column 3: Cluster has no field spec.chanel (did you mean spec.channel?)"
            ),
            "{both:?}"
        );
        assert_eq!(told(true).len(), 1);
    }

    #[test]
    fn another_version_of_the_api_is_refused_on_both_sides() {
        let patch = "spec: {}\napiVersion: kops.k8s.io/v1alpha3\n";
        let patch = Document::parse(patch).unwrap();
        let told = faults(&patch, 0, Kind::Cluster, true);
        assert_eq!(told.len(), 1);
        let told = told[0].to_string();
        assert!(
            told.starts_with("line 2, column 13: it is of v1alpha3"),
            "{told}"
        );
        let mut document = Document::parse(&format!("apiVersion: v1\n{TEXT}")).unwrap();
        let patch: Value = serde_yaml::from_str("spec: {project: x}").unwrap();
        let told = lay_over(&mut document, 0, &patch).unwrap_err().to_string();
        assert!(
            told.contains("it is of 'v1', which is no version of kOps"),
            "{told}"
        );
    }
}
