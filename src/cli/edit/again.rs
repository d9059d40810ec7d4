//! The command that goes on with a text that was kept.

use std::path::Path;

/// What was typed, to be typed again with a text that was kept. What is to write at last is no
/// dry run.
pub(super) fn again(typed: &[String], kept: &Path, writes: bool) -> String {
    let end = typed.iter().position(|word| word == "--");
    let (flags, names) = typed.split_at(end.unwrap_or(typed.len()));
    let mut words = vec!["kstate"];
    let mut flags = flags.iter().map(String::as_str);
    while let Some(word) = flags.next() {
        match word {
            "--from" => drop(flags.next()),
            "--dry-run" if writes => {}
            _ if word.starts_with("--from=") => {}
            _ => words.push(word),
        }
    }
    let kept = kept.to_string_lossy();
    words.extend(["--from", &kept]);
    words.extend(names.iter().map(String::as_str));
    // No argument of a process has a NUL, which no shell could be told.
    shlex::try_join(words).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_typed_is_typed_again() {
        for (typed, writes, expected) in [
            (
                "--state 's3://b/a b' edit ig nodes --name c --allow-write state --lock-wait 5m -q",
                false,
                "--state 's3://b/a b' edit ig nodes --name c --allow-write state --lock-wait 5m -q \
                 --from '/k e/x'",
            ),
            (
                "edit --dry-run --from /old cluster c",
                false,
                "edit --dry-run cluster c --from '/k e/x'",
            ),
            (
                "edit --dry-run --from=/old cluster c",
                true,
                "edit cluster c --from '/k e/x'",
            ),
            (
                "edit --no-journal -- '--from'",
                false,
                "edit --no-journal --from '/k e/x' -- --from",
            ),
        ] {
            let typed = shlex::split(typed).expect("words");
            let command = again(&typed, Path::new("/k e/x"), writes);
            assert_eq!(command, format!("kstate {expected}"));
        }
    }
}
