//! The forms of names and versions.

/// What is wrong with a name that must be a DNS name (RFC 1123), as Kubernetes has it.
pub(super) fn dns_name(name: &str) -> Result<(), &'static str> {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() > 253 {
        return Err("is longer than 253 characters");
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err("has an empty part between two dots or at an end");
        }
        if !label.chars().all(is_good) {
            return Err("may hold only a-z, 0-9, '-' and '.'");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("has a part that starts or ends with '-'");
        }
    }
    Ok(())
}

/// Whether a text is the key of a label in Kubernetes: a name, perhaps behind a domain and a `/`.
pub(super) fn is_label(key: &str) -> bool {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    domain.is_none_or(|domain| dns_name(domain).is_ok())
        && name.len() <= 63
        && name.chars().all(is_good)
        && is_end(name.chars().next())
        && is_end(name.chars().next_back())
}

/// Whether kOps can tell the version of Kubernetes: `1.30`, `v1.30.2-beta.1`, or a URL with
/// `/v1.30.2` in it.
pub(super) fn is_kubernetes_version(text: &str) -> bool {
    if let Some((_, after)) = text.split_once("/v1.") {
        return after.starts_with(|c: char| c.is_ascii_digit());
    }
    version(text).is_some()
}

/// The numbers of a version of Kubernetes, also of one that a URL names.
pub(super) fn kubernetes_version(text: &str) -> Option<[u64; 3]> {
    match text.find("/v1.") {
        Some(at) => version(text[at + 1..].split('/').next()?),
        None => version(text),
    }
}

/// The numbers of a semantic version; the last ones may be missing, which are 0 then.
pub(super) fn version(text: &str) -> Option<[u64; 3]> {
    let text = text.trim();
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, suffix) = text.split_at(end);
    let numbers: Vec<&str> = numbers.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let is_suffix = suffix.is_empty()
        || (numbers.len() == 3
            && suffix.len() > 1
            && suffix
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-+.".contains(c)));
    if numbers.len() > 3 || !numbers.iter().all(is_number) || !is_suffix {
        return None;
    }
    let mut version = [0; 3];
    for (number, text) in version.iter_mut().zip(numbers) {
        *number = text.parse().ok()?;
    }
    Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_names_from_other_texts() {
        for name in ["a", "a.example.com", "nodes-1", "1.2"] {
            assert_eq!(dns_name(name), Ok(()));
        }
        let long = "a".repeat(254);
        for name in [
            "",
            "A",
            "a..b",
            ".a",
            "a_b",
            "-a",
            "a.-b",
            "a-",
            "ü",
            long.as_str(),
        ] {
            assert!(dns_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn tells_labels_from_other_texts() {
        for key in [
            "a",
            "A_b.c-1",
            "example.com/team",
            "node-role.kubernetes.io/node",
        ] {
            assert!(is_label(key), "{key}");
        }
        let long = "a".repeat(64);
        for key in [
            "",
            "-a",
            "a-",
            "aws:x",
            "/a",
            "a/",
            "A.com/a",
            "a/b/c",
            long.as_str(),
        ] {
            assert!(!is_label(key), "{key}");
        }
    }

    #[test]
    fn tells_versions_from_other_texts() {
        for text in [
            "1.30",
            "v1.30.2",
            "1.30.0-beta.1",
            "1.30.2+x",
            "https://b/v1.30.2/",
            "1",
        ] {
            assert!(is_kubernetes_version(text), "{text}");
        }
        for text in [
            "",
            "stable",
            "1.x",
            "1.30-beta",
            "1.30.2-",
            "1..2",
            "1.2.3.4",
            "https://b/v1.x",
            "vv1",
        ] {
            assert!(!is_kubernetes_version(text), "{text}");
        }
        assert_eq!(version("v3.5.13"), Some([3, 5, 13]));
        for (text, version) in [
            ("1.30", Some([1, 30, 0])),
            ("v1.30.2-beta.1", Some([1, 30, 2])),
            ("https://b/release/v1.30.2/", Some([1, 30, 2])),
            ("https://b/ci/v1.30.2-alpha.1+0f/x", Some([1, 30, 2])),
            ("https://b/v1.x", None),
        ] {
            assert_eq!(kubernetes_version(text), version, "{text}");
        }
    }
}
