//! Hiding secrets in text that is shown: YAML, JSON, shell scripts.

mod context;
mod tokens;

use context::{env_name, forced_lines};
use tokens::{
    mask_bearer, mask_encoded_keys, mask_inline_pem, mask_known_tokens, mask_url_password,
    pem_start,
};

/// What stands in the place of a secret.
pub const HIDDEN: &str = "<hidden>";

/// The text with every value hidden that looks like a secret: by the name of its field, of its
/// environment variable or flag, as part of a Kubernetes `Secret`, as a private key in PEM, or as
/// a password in a URL. Lines and structure stay, so that masked texts can be compared line by
/// line: mask both sides first, then compare.
#[must_use]
pub fn mask(text: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let forced = forced_lines(&lines);
    let mut state = State::Open;
    let mut masked = String::with_capacity(text.len());
    for (line, is_forced) in lines.into_iter().zip(forced) {
        let content = line.trim_end_matches(['\r', '\n']);
        let (shown, next) = mask_line(content, is_forced, state);
        state = next;
        masked.push_str(&shown);
        masked.push_str(&line[content.len()..]);
    }
    masked
}

/// The arguments of a command with their secrets hidden: each as [`mask`] does it, and what stands
/// behind a flag with a secret-looking name.
#[must_use]
pub fn mask_args(args: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut hide = false;
    let masked = args.into_iter().map(|arg| {
        let name = arg
            .strip_prefix('-')
            .map(|name| name.trim_start_matches('-'));
        let hidden = std::mem::replace(&mut hide, name.is_some_and(is_secret_name));
        if hidden && name.is_none() {
            return HIDDEN.to_owned();
        }
        mask(&arg)
    });
    masked.collect()
}

/// What the lines so far say about the next one.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    /// Inside a private key, up to its END line.
    Pem,
    /// Below a secret field whose value goes on in lines that are indented deeper than this.
    Deeper(usize),
    /// As `Deeper`, but only what is no mapping is hidden: it may be a structure.
    DeeperScalars(usize),
}

fn mask_line(line: &str, is_forced: bool, state: State) -> (String, State) {
    let indent = indent_of(line);
    let is_blank = line.trim().is_empty();
    match state {
        State::Pem if line.contains("-----END ") => return (line.to_owned(), State::Open),
        State::Pem => return (hidden_line(line), State::Pem),
        State::Deeper(_) | State::DeeperScalars(_) if is_blank => return (line.to_owned(), state),
        State::Deeper(above) if indent > above => return (hidden_line(line), state),
        State::DeeperScalars(above) if indent > above || line.trim_start().starts_with("- ") => {
            let is_mapping = line.contains(": ") || line.trim_end().ends_with([':', '{', '}']);
            if !is_mapping {
                return (hidden_line(line), state);
            }
        }
        _ => {}
    }
    let (shown, next) = mask_pairs(line, is_forced);
    let shown = mask_known_tokens(mask_encoded_keys(mask_url_password(mask_bearer(shown))));
    match pem_start(&shown) {
        Some(shown) => (shown, State::Pem),
        None => (mask_inline_pem(shown), next),
    }
}

fn hidden_line(line: &str) -> String {
    let indent = &line[..line.len() - line.trim_start().len()];
    let dash = if line.trim_start().starts_with("- ") {
        "- "
    } else {
        ""
    };
    format!("{indent}{dash}{HIDDEN}")
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Hides the values of secret-looking names in a line, `name: value` and `name=value` alike.
fn mask_pairs(line: &str, is_forced: bool) -> (String, State) {
    let names_a_secret = env_name(line).is_some_and(is_secret_name);
    let mut shown = String::new();
    let mut copied = 0;
    let mut next = State::Open;
    for (at, separator) in line.match_indices([':', '=']) {
        let Some((name, name_start)) = name_before(line, at).filter(|_| at >= copied) else {
            continue;
        };
        let is_value_of_env = name.eq_ignore_ascii_case("value") && names_a_secret;
        let is_first = is_first_on_line(line, name_start);
        if !(is_secret_name(name) || is_value_of_env || is_forced && is_first) {
            continue;
        }
        let Some(value) = value_after(line, at, separator, is_first) else {
            continue;
        };
        match &line[value.clone()] {
            "" if separator == ":" && is_first => next = State::DeeperScalars(key_column(line)),
            scalar if scalar.starts_with(['|', '>']) && is_first => {
                next = State::Deeper(key_column(line));
            }
            scalar if is_harmless(scalar) => {}
            scalar => {
                let quote = scalar.chars().next().filter(|c| matches!(c, '"' | '\''));
                let quote = quote.map_or(String::new(), String::from);
                shown.push_str(&line[copied..value.start]);
                shown.push_str(&format_quoted(&quote));
                copied = value.end;
                if is_first {
                    next = State::Deeper(key_column(line));
                }
            }
        }
    }
    shown.push_str(&line[copied..]);
    (shown, next)
}

fn format_quoted(quote: &str) -> String {
    format!("{quote}{HIDDEN}{quote}")
}

/// The name that ends right before a separator, and where it starts.
fn name_before(line: &str, separator: usize) -> Option<(&str, usize)> {
    let before = line[..separator].trim_end_matches(' ');
    let before = before.strip_suffix(['"', '\'']).unwrap_or(before);
    let before = before.strip_suffix('\\').unwrap_or(before);
    let start = before
        .rfind(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)))
        .map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
    (start < before.len()).then(|| (&before[start..], start))
}

/// Whether a name is the first thing on its line, but for a list's dash, a quote or a comment.
fn is_first_on_line(line: &str, name_start: usize) -> bool {
    line[..name_start].chars().all(|c| " \t-#\"'".contains(c))
}

/// The column where a line's key stands, behind the dashes of a list.
fn key_column(line: &str) -> usize {
    line.find(|c: char| !" \t-".contains(c)).unwrap_or(0)
}

/// Where the value stands that follows a separator; `None` when the separator is none.
fn value_after(
    line: &str,
    at: usize,
    separator: &str,
    is_first: bool,
) -> Option<std::ops::Range<usize>> {
    let rest = &line[at + 1..];
    let is_quoted_key = line[..at].trim_end().ends_with(['"', '\'']);
    if separator == ":" && !is_quoted_key && !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    let start = at + 1 + (rest.len() - rest.trim_start().len());
    let value = &line[start..];
    if let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let end = closing_quote(&value[1..], quote).map_or(value.len(), |end| end + 2);
        return Some(start..start + end);
    }
    let end = match (separator, is_first) {
        (":", true) => value.trim_end().len(),
        (":", false) => value.find([',', '}', ']', ' ']).unwrap_or(value.len()),
        _ => value
            .find(|c: char| c.is_whitespace() || "\"';&,`)".contains(c))
            .unwrap_or(value.len()),
    };
    Some(start..start + end)
}

fn closing_quote(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if quote == '"' => is_escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// Values that tell nothing: structure, nulls and switches.
fn is_harmless(value: &str) -> bool {
    let is_word = matches!(value, "true" | "false" | "null" | "~" | "\"\"" | "''" | "");
    is_word || value.starts_with(['{', '[', '*'])
}

/// How the names of secrets end, without punctuation.
const ENDINGS: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secretkey",
    "secretaccesskey",
    "accesskey",
    "accesskeyid",
    "token",
    "privatekey",
    "privatematerial",
    "apikey",
    "clientkeydata",
    "dockerconfigjson",
    "dockercfg",
];

/// Whether a field, variable or flag of this name holds a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    // In kOps's secrets/* the whole secret is {"Data": …}; elsewhere `data` is a common word.
    if name == "Data" {
        return true;
    }
    // DB_PASS, but not bypass or compass.
    if name.to_ascii_lowercase().rsplit(['_', '-', '.']).next() == Some("pass") {
        return true;
    }
    let name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    name == "auth" || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_values_and_keeps_structure() {
        for (text, shown) in [
            (
                "privateMaterial: c2VjcmV0\npublicMaterial: cHVi\n",
                "privateMaterial: <hidden>\npublicMaterial: cHVi\n",
            ),
            ("{\"Data\":\"c2VjcmV0\"}", "{\"Data\":\"<hidden>\"}"),
            (
                "  - token: \"s3cr3t\" # c\r\n    a: b\r\n",
                "  - token: \"<hidden>\" # c\r\n    a: b\r\n",
            ),
            (
                "export S3_SECRET_ACCESS_KEY=s3cr3t\n",
                "export S3_SECRET_ACCESS_KEY=<hidden>\n",
            ),
            ("- --password=s3cr3t --v=2", "- --password=<hidden> --v=2"),
            ("export DB_PASS=s3cr3t\n", "export DB_PASS=<hidden>\n"),
            (
                "x AKIAIOSFODNN7EXAMPLE y, ghp_abcdefghijklmnopqrstuvwxyz0123456789",
                "x <hidden> y, <hidden>",
            ),
            (
                "compass: north\nbypass: yes\n",
                "compass: north\nbypass: yes\n",
            ),
            (
                "a: {\"apiKey\": \"s3\\\"cr3t\", \"b\": 1}",
                "a: {\"apiKey\": \"<hidden>\", \"b\": 1}",
            ),
            (
                "clientSecret: |\n  s3cr3t\n\n  more\nb: 1\n",
                "clientSecret: |\n  <hidden>\n\n  <hidden>\nb: 1\n",
            ),
            (
                "password:\n  s3cr3t\nb: 1\n",
                "password:\n  <hidden>\nb: 1\n",
            ),
            (
                "password: s3cr3t\n  folded\nb: 1\n",
                "password: <hidden>\n  <hidden>\nb: 1\n",
            ),
            ("u: https://me:s3cr3t@host/x", "u: https://<hidden>@host/x"),
            (
                "h: \"Authorization: Bearer abcdefgh12345678.x\"",
                "h: \"Authorization: Bearer <hidden>\"",
            ),
            (
                "authorization: bearer abc, Authorization: Basic YTpi; a basic thing",
                "authorization: bearer <hidden>, Authorization: Basic <hidden>; a basic thing",
            ),
            (
                "k: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t== x",
                "k: <hidden> x",
            ),
            (
                "k: |\n  -----BEGIN EC PRIVATE KEY-----\n  abc\n  -----END EC PRIVATE KEY-----\nb: 1\n",
                "k: |\n  -----BEGIN EC PRIVATE KEY-----\n  <hidden>\n  -----END EC PRIVATE KEY-----\nb: 1\n",
            ),
            (
                "{\"k\": \"-----BEGIN PRIVATE KEY-----\\nabc\\n-----END PRIVATE KEY-----\\n\"}",
                "{\"k\": \"-----BEGIN PRIVATE KEY-----<hidden>-----END PRIVATE KEY-----\\n\"}",
            ),
        ] {
            assert_eq!(mask(text), shown);
        }
    }

    #[test]
    fn hides_the_value_beside_a_secret_variable() {
        for (text, shown) in [
            (
                "env:\n- name: AWS_REGION\n  value: eu\n- name: S3_SECRET_ACCESS_KEY\n  value: s3cr3t\n- name: A\n  value: b\n",
                "env:\n- name: AWS_REGION\n  value: eu\n- name: S3_SECRET_ACCESS_KEY\n  value: <hidden>\n- name: A\n  value: b\n",
            ),
            (
                "- value: s3cr3t\n  name: OS_PASSWORD\n- value: b\n  name: A\n",
                "- value: <hidden>\n  name: OS_PASSWORD\n- value: b\n  name: A\n",
            ),
            (
                "{\n  \"name\": \"HCLOUD_TOKEN\",\n  \"value\": \"s3cr3t\"\n}\n",
                "{\n  \"name\": \"HCLOUD_TOKEN\",\n  \"value\": \"<hidden>\"\n}\n",
            ),
            (
                "[{\"name\":\"HCLOUD_TOKEN\",\"value\":\"s3cr3t\"}]",
                "[{\"name\":\"HCLOUD_TOKEN\",\"value\":\"<hidden>\"}]",
            ),
            (
                "- {name: SCW_SECRET_KEY, value: s3cr3t}",
                "- {name: SCW_SECRET_KEY, value: <hidden>}",
            ),
        ] {
            assert_eq!(mask(text), shown);
        }
    }

    #[test]
    fn hides_all_of_a_kubernetes_secret() {
        let text = "kind: ConfigMap\ndata:\n  a: b\n---\napiVersion: v1\ndata:\n  user: dQ==\n  x: |\n    y\nkind: Secret\nmetadata:\n  name: n\n";
        let shown = "kind: ConfigMap\ndata:\n  a: b\n---\napiVersion: v1\ndata:\n  user: <hidden>\n  x: |\n    <hidden>\nkind: Secret\nmetadata:\n  name: n\n";
        assert_eq!(mask(text), shown);
    }

    #[test]
    fn leaves_what_is_no_secret() {
        for text in [
            "configBase: s3://b/c\nsecretStore: s3://b/c/secrets\nsecrets: s3://b/c/secrets\n",
            "automountServiceAccountToken: true\nhttpTokens: required\n",
            "- name: AWS_WEB_IDENTITY_TOKEN_FILE\n  value: /var/run/token\n",
            "volumes:\n- name: x\n  secret:\n    secretName: y\n    items:\n    - key: z\n",
            "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n",
            "token: \"\"\npassword: null\n",
            "secrets/system:dns\nkind: Cluster\ndata:\n  config.yaml: |\n    a: b\n",
            "",
        ] {
            assert_eq!(mask(text), text);
        }
    }

    #[test]
    fn no_secret_of_a_real_store_survives() {
        let fixture = crate::fixture::objects().unwrap_or_default();
        for (key, bytes) in fixture.into_iter().chain(crate::fixture::sample()) {
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            let masked = mask(&text);
            assert_eq!(masked.lines().count(), text.lines().count(), "{key}");
            for secret in secrets_of(&text) {
                assert!(!masked.contains(secret), "{key}");
            }
            if key.contains("/manifests/") {
                let injected = text.replacen(
                    "    env:\n",
                    "    env:\n    - name: S3_SECRET_ACCESS_KEY\n      value: s3cr3t\n",
                    1,
                );
                assert!(!mask(&injected).contains("s3cr3t"), "{key}");
                assert_eq!(masked, text, "{key} holds no secret");
            }
        }
    }

    fn secrets_of(text: &str) -> Vec<&str> {
        text.lines()
            .filter_map(|line| {
                let value = line
                    .trim_start()
                    .strip_prefix("privateMaterial: ")
                    .or_else(|| line.strip_prefix("{\"Data\":\"")?.strip_suffix("\"}"))?;
                (!value.is_empty()).then_some(value)
            })
            .collect()
    }

    proptest::proptest! {
        #[test]
        fn any_text_keeps_its_lines(text in "([-a-z:='\"{}\\[\\],|>& #\n\r\u{e9}]|token|password: |name|value|Data|://|@|Bearer |-----BEGIN PRIVATE KEY-----|-----END ){0,40}") {
            proptest::prop_assert_eq!(mask(&text).lines().count(), text.lines().count());
        }
    }
}
