//! How journals are kept.

use std::time::Duration;

use super::Reader;
use crate::store::Result;
use crate::text::did_you_mean;
use crate::units;

/// What the section `journal` says; what it doesn't say is decided elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalSettings {
    /// How long journals stay after their runs (`keep: 90d`).
    pub keep: Option<Duration>,
    /// How many bytes all of them may take (`max_size: 4GiB`).
    pub max_size: Option<u64>,
    /// The largest object that is kept when it is replaced or deleted (`max_object: 256MiB`).
    pub max_object: Option<u64>,
}

const KEYS: [&str; 3] = ["keep", "max_size", "max_object"];

impl Reader<'_> {
    pub(super) fn journal(&self) -> Result<JournalSettings> {
        let mut settings = JournalSettings::default();
        for key in self.keys(&["journal"])? {
            let path = ["journal", &key];
            let value = self.scalar(&path)?;
            let wrong = |fault: String| self.error(&path, &fault);
            match key.as_str() {
                "keep" => settings.keep = Some(units::duration(&value).map_err(wrong)?),
                "max_size" => settings.max_size = Some(units::size(&value).map_err(wrong)?),
                "max_object" => settings.max_object = Some(units::size(&value).map_err(wrong)?),
                _ => {
                    let near = did_you_mean(&key, KEYS);
                    let fault = format!("there is no setting '{key}' of journals{near}");
                    return Err(self
                        .error(&path, &fault)
                        .hint(format!("they are {}", KEYS.join(", "))));
                }
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use crate::config::settings::Settings;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(text, Path::new("config.yaml")).map_err(|error| error.to_string())
    }

    #[test]
    fn says_how_long_and_how_much() {
        let settings = parse("journal:\n  keep: 30d\n  max_size: 1GiB\n  max_object: 5MiB\n");
        let journal = settings.expect("settings").journal;
        assert_eq!(journal.keep, Some(Duration::from_hours(720)));
        assert_eq!(journal.max_size, Some(1 << 30));
        assert_eq!(journal.max_object, Some(5 << 20));
        assert_eq!(parse("").expect("settings").journal.keep, None);
    }

    #[test]
    fn every_fault_has_its_line() {
        for (text, words) in [
            ("journal:\n  kep: 30d\n", "config.yaml: line 2, column 3"),
            ("journal:\n  kep: 30d\n", "keep"),
            ("journal:\n  keep: soon\n", "config.yaml: line 2, column 3"),
            ("journal: yes\n", "config.yaml: line 1, column 1"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(words), "{error}");
        }
    }
}
