//! What can be permitted to a run, as people write it: in flags, in named sets of kstate's
//! configuration, and in the manifests of scripts.

use std::fmt;

use url::Host;

/// A named set: what all runs with it may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet {
    /// No store may be written.
    pub read_only: bool,
    /// The only stores that may be written, as URLs or names; `None` says nothing about it.
    pub allow_write: Option<Vec<String>>,
    /// Hosts that a script may ask over HTTP.
    pub allow_http: Vec<HostRule>,
    /// Programs that a script may run.
    pub allow_process: Vec<Program>,
    /// Secret-looking environment variables that a script may read.
    pub allow_env: Vec<EnvName>,
}

/// Hosts that may be asked: `api.example.com` and `[::1]` at the ports of `http` and `https`,
/// `api.example.com:8443` at this port, `*.example.com` for all names below, but not
/// `example.com` itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    host: Host,
    subdomains: bool,
    port: Option<u16>,
}

impl HostRule {
    /// Reads a rule.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence without its end.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("'{text}' can't be a host: {what}");
        if text.contains("://") || text.contains(['/', '@', '?', '#']) {
            return Err(wrong(
                "write HOST or HOST:PORT, without a scheme, a path or a user",
            ));
        }
        let (rest, subdomains) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (name, port) = match rest.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
            _ => (rest, None),
        };
        if name.contains('*') {
            return Err(wrong(
                "'*' stands only for whole names in front, as in *.example.com",
            ));
        }
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(wrong("its port is no number from 1 to 65535")),
        };
        let host = Host::parse(name).map_err(|error| wrong(&error.to_string()))?;
        if subdomains && !matches!(host, Host::Domain(_)) {
            return Err(wrong("an address has no names below it"));
        }
        Ok(Self {
            host: without_dot(host),
            subdomains,
            port,
        })
    }

    /// The rule that allows one host at a port, and no more.
    #[must_use]
    pub fn exactly(host: Host, port: Option<u16>) -> Self {
        Self {
            host: without_dot(host),
            subdomains: false,
            port,
        }
    }

    /// Whether all that another rule allows is allowed by this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        if self.port != other.port {
            return false;
        }
        match (&self.host, &other.host) {
            (Host::Domain(above), Host::Domain(name)) if self.subdomains => {
                let below = name
                    .strip_suffix(above.as_str())
                    .is_some_and(|front| front.len() > 1 && front.ends_with('.'));
                below || other.subdomains && name == above
            }
            (mine, other_host) => !self.subdomains && !other.subdomains && mine == other_host,
        }
    }
}

/// The dot at the end of a full name says nothing more.
fn without_dot(host: Host) -> Host {
    match host {
        Host::Domain(name) => Host::Domain(name.trim_end_matches('.').to_owned()),
        address => address,
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subdomains {
            f.write_str("*.")?;
        }
        write!(f, "{}", self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// A program: a bare name, which is looked up in `PATH`, or an absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(String);

impl Program {
    /// Reads the name of a program.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence without its end.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("{text:?} can't be a program: {what}"));
        if text.is_empty() {
            return wrong("it is empty");
        }
        if text.contains(char::is_control) {
            return wrong("it has a control character in it");
        }
        if let Some(path) = text.strip_prefix('/') {
            let is_plain = |name| !matches!(name, "" | "." | "..");
            if !path.split('/').all(is_plain) {
                return wrong("a path has no '.', '..' or '//' in it");
            }
        } else if text.contains('/') || matches!(text, "." | "..") {
            return wrong("write a bare name, which is looked up in PATH, or an absolute path");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name or path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a path.
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.0.starts_with('/')
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvName(String);

impl EnvName {
    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence without its end.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !text.is_empty() && text.chars().all(is_plain) {
            return Ok(Self(text.to_owned()));
        }
        // What stands behind '=' may be the secret itself.
        let shown = text.split('=').next().unwrap_or_default();
        Err(format!(
            "'{shown}' can't be an environment variable: write its name alone, of letters, digits and '_'"
        ))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(rule: &str, other: &str) -> bool {
        let parse = |text| HostRule::parse(text).expect(text);
        parse(rule).covers(&parse(other))
    }

    #[test]
    fn a_host_is_allowed_by_its_name_and_port_alone() {
        for (rule, other) in [
            ("api.example.com", "API.example.com"),
            ("api.example.com", "api.example.com."),
            ("*.example.com", "api.example.com"),
            ("*.example.com", "a.b.example.com"),
            ("*.example.com", "*.example.com"),
            ("*.example.com", "*.b.example.com"),
            ("*.example.com:8443", "api.example.com:8443"),
            ("127.0.0.1:80", "2130706433:80"),
            ("[::1]:80", "[0:0:0:0:0:0:0:1]:80"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            assert!(covers(rule, other), "{rule} {other}");
        }
        for (rule, other) in [
            ("example.com", "api.example.com"),
            ("example.com", "example.com.evil.net"),
            ("example.com", "evilexample.com"),
            ("example.com", "example.com:8080"),
            ("example.com:8080", "example.com"),
            ("*.example.com", "example.com"),
            ("*.example.com", "evilexample.com"),
            ("*.example.com", ".example.com"),
            ("*.example.com", "api.example.com:8443"),
            ("api.example.com", "*.example.com"),
            ("localhost", "127.0.0.1"),
            ("127.0.0.1", "[::ffff:127.0.0.1]"),
        ] {
            let Ok(other) = HostRule::parse(other) else {
                continue;
            };
            let rule = HostRule::parse(rule).expect(rule);
            assert!(!rule.covers(&other), "{rule} {other}");
        }
    }

    #[test]
    fn what_is_no_host_is_told() {
        for (text, words) in [
            ("https://example.com", "without a scheme"),
            ("example.com/path", "without a scheme"),
            ("me@example.com", "a user"),
            ("", "can't be a host"),
            ("*", "'*' stands only"),
            ("a.*.example.com", "'*' stands only"),
            ("exa*mple.com", "'*' stands only"),
            ("*.127.0.0.1", "an address"),
            ("example.com:", "its port"),
            ("example.com:0", "its port"),
            ("example.com:99999", "its port"),
            ("exa mple.com", "can't be a host"),
            ("::1", "can't be a host"),
        ] {
            let fault = HostRule::parse(text).expect_err(text);
            assert!(fault.contains(words), "{fault}");
        }
        let shown = HostRule::parse("*.Example.COM:8443").expect("a rule");
        assert_eq!(shown.to_string(), "*.example.com:8443");
    }

    #[test]
    fn a_program_is_a_bare_name_or_a_plain_path() {
        for text in ["kops", "/usr/bin/kops", "g++", "a b"] {
            assert_eq!(Program::parse(text).expect(text).as_str(), text);
        }
        for text in [
            "",
            "./kops",
            "../kops",
            "bin/kops",
            "/usr/../kops",
            "/usr//kops",
            "/",
            "/usr/",
            "kops\n",
            "ko\0ps",
            "..",
        ] {
            assert!(Program::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_variable_is_a_name_and_its_value_is_not_repeated() {
        assert!(EnvName::parse("MY_TOKEN2").is_ok());
        let fault = EnvName::parse("MY_TOKEN=hunter2").expect_err("no name");
        assert!(
            fault.contains("MY_TOKEN") && !fault.contains("hunter2"),
            "{fault}"
        );
        assert!(EnvName::parse("").is_err() && EnvName::parse("A B").is_err());
    }
}
