//! Secrets that are known by their own form, whatever their name.

use super::HIDDEN;

/// The line up to the start of a private key that goes on in the next lines.
pub(super) fn pem_start(line: &str) -> Option<String> {
    let (start, end) = private_key_header(line)?;
    (!line[start..].contains("-----END ")).then(|| {
        let rest = if line[end..].trim().is_empty() {
            ""
        } else {
            HIDDEN
        };
        format!("{}{rest}", &line[..end])
    })
}

/// A private key that stands in one line, with `\n` for its line ends.
pub(super) fn mask_inline_pem(line: String) -> String {
    let Some((_, end)) = private_key_header(&line) else {
        return line;
    };
    let close = line[end..]
        .find("-----END ")
        .map_or(line.len(), |at| end + at);
    format!("{}{HIDDEN}{}", &line[..end], &line[close..])
}

fn private_key_header(line: &str) -> Option<(usize, usize)> {
    const CLOSE: &str = "PRIVATE KEY-----";
    let start = line.find("-----BEGIN ")?;
    let end = start + line[start..].find(CLOSE)? + CLOSE.len();
    Some((start, end))
}

/// Private keys in base64, which begin alike.
pub(super) fn mask_encoded_keys(mut line: String) -> String {
    const STARTS: [&str; 4] = [
        "LS0tLS1CRUdJTiBSU0EgUFJJVkFURS",
        "LS0tLS1CRUdJTiBFQyBQUklWQVRFIE",
        "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS",
        "LS0tLS1CRUdJTiBPUEVOU1NIIFBSSV",
    ];
    while let Some(at) = STARTS.iter().find_map(|start| line.find(start)) {
        let end = line[at..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c)))
            .map_or(line.len(), |end| at + end);
        line.replace_range(at..end, HIDDEN);
    }
    line
}

/// Tokens of services that begin alike, so that they can be found by just that: GitHub's,
/// GitLab's, Slack's, and AWS's ids of access keys.
pub(super) fn mask_known_tokens(mut line: String) -> String {
    const STARTS: [(&str, usize); 10] = [
        ("ghp_", 36),
        ("gho_", 36),
        ("ghs_", 36),
        ("github_pat_", 40),
        ("glpat-", 20),
        ("xoxb-", 20),
        ("xoxp-", 20),
        ("hooks.slack.com/services/", 20),
        ("AKIA", 16),
        ("ASIA", 16),
    ];
    for (start, least) in STARTS {
        let mut from = 0;
        while let Some(at) = line[from..].find(start).map(|at| from + at) {
            let inside = line[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            let rest = &line[at + start.len()..];
            let length = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || "_-/".contains(c)))
                .unwrap_or(rest.len());
            from = at + start.len();
            if length >= least && !inside {
                line.replace_range(at..from + length, HIDDEN);
                from = at + HIDDEN.len();
            }
        }
    }
    line
}

/// `scheme://user:password@host`.
pub(super) fn mask_url_password(mut line: String) -> String {
    let mut from = 0;
    while let Some(at) = line[from..].find("://").map(|at| from + at + 3) {
        let end = line[at..]
            .find(|c: char| c == '/' || c.is_whitespace() || "\"'".contains(c))
            .map_or(line.len(), |end| at + end);
        if let Some(host) = line[at..end].rfind('@') {
            line.replace_range(at..at + host, HIDDEN);
        }
        from = at;
    }
    line
}

/// `Authorization: Bearer …`.
pub(super) fn mask_bearer(mut line: String) -> String {
    for word in ["Bearer ", "Basic "] {
        let mut from = 0;
        while let Some(start) = find_ignoring_case(&line[from..], word).map(|at| from + at) {
            let at = start + word.len();
            let end = line[at..]
                .find(|c: char| !(c.is_ascii_alphanumeric() || "+/=._-~".contains(c)))
                .map_or(line.len(), |end| at + end);
            let before = line[..start].trim_end_matches([' ', ':', '=', '"', '\'', '\\']);
            let is_header = before.to_ascii_lowercase().ends_with("authorization");
            // Elsewhere it may be a sentence.
            let is_token = end - at >= 16 && line[start..].starts_with(word);
            from = end;
            if is_token || is_header && end > at {
                line.replace_range(at..end, HIDDEN);
                from = at + HIDDEN.len();
            }
        }
    }
    line
}

fn find_ignoring_case(text: &str, word: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    lower.find(&word.to_ascii_lowercase())
}
