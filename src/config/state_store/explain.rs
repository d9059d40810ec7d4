//! How a resolution is shown.

use std::fmt;

use super::{Found, Resolution, Warning};
use crate::config::mask::mask;

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) if value.is_empty() => f.write_str("(empty)"),
            Self::Value(value) => f.write_str(&mask(value)),
            Self::NotSet => f.write_str("(not set)"),
            Self::Missing => f.write_str("(no such file)"),
            Self::Unreadable(fault) => write!(f, "(can't be read: {fault})"),
            Self::Invalid(fault) => write!(f, "(not used: {fault})"),
            Self::WithoutKey => f.write_str("(no key kops_state_store)"),
            Self::Hidden(by) => write!(f, "(not read: {by} exists)"),
        }
    }
}

/// The table of `kstate config explain`: each place, what stands there, the one that won.
impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.sources.iter().map(|source| source.name.len()).max();
        for source in &self.sources {
            let mark = if source.won { '*' } else { ' ' };
            let width = width.unwrap_or(0);
            writeln!(f, "{mark} {:width$}  {}", source.name, source.found)?;
        }
        let value = self.value.as_deref().map(mask);
        writeln!(f, "\nstate store: {}", value.as_deref().unwrap_or("none"))?;
        writeln!(f, "{}", self.reason)?;
        for Warning { message, fix } in &self.warnings {
            writeln!(f, "\nwarning: {message}\n  fix: {fix}")?;
        }
        Ok(())
    }
}
