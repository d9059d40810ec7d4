//! kOps's own file of credentials, an INI file:
//! <https://github.com/kubernetes/kops/blob/master/util/pkg/vfs/swiftfs.go>.

use std::path::Path;

use super::given::Given;
use super::{Fault, text_of};
use crate::store::registry::Env;

/// What is read of each section, and what it is called elsewhere.
const KEYS: &[(&str, &str, &str)] = &[
    ("Default", "identity", "auth_url"),
    ("Default", "user", "username"),
    ("Default", "user_id", "user_id"),
    ("Default", "password", "password"),
    ("Default", "domain_id", "domain_id"),
    ("Default", "domain_name", "domain_name"),
    ("Default", "tenant_id", "project_id"),
    ("Default", "tenant_name", "project_name"),
    ("Global", "region", "region_name"),
    ("Swift", "service_type", "service_type"),
    ("Swift", "service_name", "service_name"),
    ("Swift", "region", "region_name"),
    ("Swift", "availability", "interface"),
];

/// The file that the environment names, or the one in the home folder, if that is there.
pub(super) fn found(env: &Env) -> Result<Option<Given>, Fault> {
    if let Some(path) = env.get("OPENSTACK_CREDENTIAL_FILE") {
        return read(Path::new(path), env).map(Some);
    }
    let Some(home) = env.home() else {
        return Ok(None);
    };
    let path = home.join(".openstack/config");
    Ok(text_of(&path)?.map(|text| given(&path, &text, env)))
}

/// A file that must be there.
pub(super) fn read(path: &Path, env: &Env) -> Result<Given, Fault> {
    let text = text_of(path)?.ok_or_else(|| {
        let path = path.display();
        Fault::new(format!("there is no credentials file {path}"))
    })?;
    Ok(given(path, &text, env))
}

fn spelled(name: &str) -> String {
    let known = KEYS.iter().find(|(_, _, known)| *known == name);
    known.map_or(name, |(_, key, _)| key).to_owned()
}

/// The region of the environment comes first, then the one of all services; what is Swift's own
/// counts only where there is neither, as in kOps.
fn given(path: &Path, text: &str, env: &Env) -> Given {
    let entries = entries(text);
    let region = env.get("OS_REGION_NAME");
    let has_region = region.is_some() || entries.iter().any(|(section, ..)| section == "Global");
    let keys = KEYS
        .iter()
        .filter(|(section, ..)| !(has_region && *section == "Swift"));
    let values = keys.filter_map(|(section, key, name)| {
        let mut entries = entries.iter();
        let (_, _, value) = entries.find(|(s, k, _)| s == section && k == key)?;
        Some((*name, value.clone()))
    });
    let region = region.map(|region| ("region_name", region.to_owned()));
    Given::new(path.display().to_string(), spelled, values.chain(region))
}

/// Sections, keys and values, as kOps's parser (gopkg.in/ini.v1) reads them.
fn entries(text: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut entries = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.split_once(']').map_or(name, |(name, _)| name);
            name.trim().clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once(['=', ':']) {
            entries.push((section.clone(), key.trim().to_owned(), value_of(value)));
        }
    }
    // The last of several counts.
    entries.reverse();
    entries
}

/// What stands in backticks is kept as it is; else a comment may follow, and quotes come off.
fn value_of(text: &str) -> String {
    let text = text.trim();
    let raw = text
        .strip_prefix('`')
        .and_then(|rest| rest.rsplit_once('`'));
    if let Some((raw, _)) = raw {
        return raw.to_owned();
    }
    let value = text.split(['#', ';']).next().unwrap_or_default().trim();
    for quote in ['\'', '"'] {
        let inner = value.strip_prefix(quote);
        if let Some(inner) = inner.and_then(|inner| inner.strip_suffix(quote)) {
            return inner.to_owned();
        }
    }
    value.to_owned()
}
