//! The shipped scripts: as files in `scripts/`, and embedded in the binary.

pub mod eject;

use std::io;
use std::path::{Path, PathBuf};

use crate::lua::Source;
use crate::named_file;
use crate::store::registry::Env;

/// What a shipped text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `kstate run` runs it.
    Script,
    /// It opens stores.
    Backend,
    /// Others `require` it.
    Module,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Backend => "backend",
            Self::Module => "module",
        }
    }
}

/// A text that ships with kstate.
#[derive(Clone, Debug)]
pub struct Shipped {
    /// The name by which it is asked for, with dots for the folders below `scripts`.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// The text.
    pub text: &'static str,
}

impl Shipped {
    /// Its place below a folder of scripts.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("{}.lua", self.name.replace('.', "/")))
    }

    /// What it is, in a sentence: the first of the comment at its top.
    #[must_use]
    pub fn summary(&self) -> String {
        let lines = self.text.lines();
        let comment: Vec<_> = lines.map_while(|line| line.strip_prefix("-- ")).collect();
        let comment = comment.join(" ");
        let end = comment.find(". ").map_or(comment.len(), |end| end + 1);
        comment[..end].trim_end_matches('.').to_owned()
    }
}

/// All that ships with kstate.
pub fn shipped() -> impl Iterator<Item = Shipped> {
    let all = [
        (EMBEDDED, Kind::Script, ""),
        (BACKENDS, Kind::Backend, "backends."),
        (MODULES, Kind::Module, ""),
    ];
    all.into_iter().flat_map(|(texts, kind, prefix)| {
        texts.iter().map(move |(name, text)| Shipped {
            name: format!("{prefix}{name}"),
            kind,
            text,
        })
    })
}

const EMBEDDED: &[(&str, &str)] = &[
    ("backup", include_str!("../scripts/backup.lua")),
    (
        "check_backups",
        include_str!("../scripts/check_backups.lua"),
    ),
    (
        "configure_cluster",
        include_str!("../scripts/configure_cluster.lua"),
    ),
    (
        "cross_account_policy",
        include_str!("../scripts/cross_account_policy.lua"),
    ),
    ("doctor", include_str!("../scripts/doctor.lua")),
    ("export_git", include_str!("../scripts/export_git.lua")),
    ("import_git", include_str!("../scripts/import_git.lua")),
    ("inventory", include_str!("../scripts/inventory.lua")),
    ("move_bucket", include_str!("../scripts/move_bucket.lua")),
    (
        "prune_backups",
        include_str!("../scripts/prune_backups.lua"),
    ),
    ("restore", include_str!("../scripts/restore.lua")),
    (
        "retire_bucket",
        include_str!("../scripts/retire_bucket.lua"),
    ),
    ("review_copy", include_str!("../scripts/review_copy.lua")),
];

/// The backends that are written in Lua.
const BACKENDS: &[(&str, &str)] = &[
    ("cache", include_str!("../scripts/backends/cache.lua")),
    ("crypt", include_str!("../scripts/backends/crypt.lua")),
    ("etcd", include_str!("../scripts/backends/etcd.lua")),
    ("http", include_str!("../scripts/backends/http.lua")),
    ("vault", include_str!("../scripts/backends/vault.lua")),
    ("webdav", include_str!("../scripts/backends/webdav.lua")),
];

/// The schemes of a shipped backend, so that none is read before it is needed.
fn schemes(backend: &str) -> Vec<String> {
    let names: &[&str] = match backend {
        "http" => &["http", "https"],
        "webdav" => &["webdav", "webdavs"],
        own => &[own],
    };
    names.iter().map(|&name| name.to_owned()).collect()
}

/// What the scripts `require`.
const MODULES: &[(&str, &str)] = &[
    ("lib.addons", include_str!("../scripts/lib/addons.lua")),
    ("lib.args", include_str!("../scripts/lib/args.lua")),
    (
        "lib.bucket_policy",
        include_str!("../scripts/lib/bucket_policy.lua"),
    ),
    ("lib.cluster", include_str!("../scripts/lib/cluster.lua")),
    (
        "lib.cluster_check",
        include_str!("../scripts/lib/cluster_check.lua"),
    ),
    ("lib.copies", include_str!("../scripts/lib/copies.lua")),
    (
        "lib.free_text",
        include_str!("../scripts/lib/free_text.lua"),
    ),
    ("lib.git", include_str!("../scripts/lib/git.lua")),
    (
        "lib.git_check",
        include_str!("../scripts/lib/git_check.lua"),
    ),
    ("lib.git_tree", include_str!("../scripts/lib/git_tree.lua")),
    (
        "lib.keys_check",
        include_str!("../scripts/lib/keys_check.lua"),
    ),
    (
        "lib.new_cluster",
        include_str!("../scripts/lib/new_cluster.lua"),
    ),
    ("lib.notes", include_str!("../scripts/lib/notes.lua")),
    (
        "lib.policy_check",
        include_str!("../scripts/lib/policy_check.lua"),
    ),
    (
        "lib.policy_merge",
        include_str!("../scripts/lib/policy_merge.lua"),
    ),
    (
        "lib.principals",
        include_str!("../scripts/lib/principals.lua"),
    ),
    ("lib.ranges", include_str!("../scripts/lib/ranges.lua")),
    (
        "lib.state_access",
        include_str!("../scripts/lib/state_access.lua"),
    ),
    (
        "lib.store_check",
        include_str!("../scripts/lib/store_check.lua"),
    ),
    ("lib.survey", include_str!("../scripts/lib/survey.lua")),
    (
        "lib.wildcards",
        include_str!("../scripts/lib/wildcards.lua"),
    ),
    ("lib.zones", include_str!("../scripts/lib/zones.lua")),
];

/// The text of a module that scripts may `require`; each script is one too.
#[must_use]
pub fn module(name: &str) -> Option<&'static str> {
    let modules = MODULES.iter().find(|(known, _)| *known == name);
    modules.map(|(_, text)| *text).or_else(|| embedded(name))
}

/// The text of an embedded script.
#[must_use]
pub fn embedded(name: &str) -> Option<&'static str> {
    EMBEDDED
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

/// The names of the embedded scripts.
pub fn names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

/// The backends that are written in Lua, each as a text that ships with kstate, with its schemes.
pub fn backends() -> impl Iterator<Item = (Source, Vec<String>)> {
    BACKENDS.iter().map(|&(name, text)| {
        let source = Source::shipped(format!("kstate:backends/{name}.lua"), text);
        (source, schemes(name))
    })
}

/// The files of the user's own backends (`$XDG_DATA_HOME/kstate/backends/*.lua`), by name.
///
/// # Errors
/// Those of reading the folder, unless there is none.
pub fn backend_files(env: &Env) -> io::Result<Vec<PathBuf>> {
    data_folder(env).map_or(Ok(Vec::new()), |data| files_in(&data.join("backends")))
}

/// The names of the user's own scripts.
#[must_use]
pub fn own_names(env: &Env) -> Vec<String> {
    let files = folders(env).flat_map(|folder| files_in(&folder).unwrap_or_default());
    let names = files.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()));
    names.filter(|name| !name.ends_with("_test")).collect()
}

/// The Lua files in a folder, in order; none when there is no such folder.
#[expect(
    clippy::disallowed_methods,
    reason = "scripts and backends are code, not state: what a folder of them has is looked up here alone"
)]
fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let files = entries.map(|entry| Ok(entry?.path()));
    let mut files: Vec<_> = files.collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "lua"));
    files.sort_unstable();
    Ok(files)
}

/// The Lua files below a folder, in order, without hidden ones and the stubs for editors. What can't
/// be read is among them, also a folder: to read it tells why.
///
/// # Errors
/// Those of reading the folder.
#[expect(
    clippy::disallowed_methods,
    reason = "scripts are code, not state: folders of them are gone through here alone"
)]
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            files.extend(self::files(&path).unwrap_or_else(|_| vec![path]));
        } else if path.extension().is_some_and(|ending| ending == "lua") && !is_stub(&path) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn is_stub(path: &Path) -> bool {
    named_file::read(path).is_ok_and(|text| text.starts_with(b"---@meta"))
}

/// The folder of the user's own scripts and backends.
#[must_use]
pub fn data_folder(env: &Env) -> Option<PathBuf> {
    let data = env
        .get("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env.home()?.join(".local/share")));
    data.map(|data| data.join("kstate"))
}

/// Where a script of this name may lie: the path itself, `./scripts`, then the user's folder
/// (`$XDG_DATA_HOME/kstate/scripts`). An embedded script comes after all of them.
#[must_use]
pub fn candidates(name: &str, env: &Env) -> Vec<PathBuf> {
    let path = PathBuf::from(name);
    if name.contains('/') || path.extension().is_some() {
        return vec![path];
    }
    let file = format!("{name}.lua");
    folders(env).map(|folder| folder.join(&file)).collect()
}

/// The folders of the user's own scripts: this project's, then those for all projects.
fn folders(env: &Env) -> impl Iterator<Item = PathBuf> {
    let user = data_folder(env).map(|data| data.join("scripts"));
    [PathBuf::from("scripts")].into_iter().chain(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lua::backend::Definition;

    #[test]
    fn every_shipped_script_and_module_is_embedded() {
        for (folder, prefix) in [("scripts", ""), ("scripts/lib", "lib.")] {
            let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
            #[expect(clippy::disallowed_methods, reason = "a test reads the source tree")]
            let entries = std::fs::read_dir(folder).expect("the folder");
            for entry in entries {
                let path = entry.expect("an entry").path();
                if path.extension().is_some_and(|ending| ending == "lua") {
                    let name = path.file_stem().and_then(|name| name.to_str());
                    let name = format!("{prefix}{}", name.expect("a name"));
                    assert!(module(&name).is_some(), "{name}");
                }
            }
        }
        assert!(names().all(|name| !name.starts_with("lib.")));
    }

    #[test]
    fn every_shipped_backend_is_embedded() {
        let folder = format!("{}/scripts/backends", env!("CARGO_MANIFEST_DIR"));
        #[expect(clippy::disallowed_methods, reason = "a test reads the source tree")]
        let entries = std::fs::read_dir(folder).expect("the folder");
        for entry in entries {
            let name = entry.expect("an entry").file_name();
            let name = format!("kstate:backends/{}", name.to_string_lossy());
            let shipped = backends().find(|(source, _)| source.name == name);
            let (source, schemes) = shipped.unwrap_or_else(|| panic!("{name}"));
            let definition = Definition::of_text(&name, &source.text).expect("a backend");
            assert_eq!(definition.schemes, schemes);
        }
    }

    #[test]
    fn a_name_is_looked_for_where_people_put_scripts() {
        let env: Env = [("HOME", "/home/u")].into_iter().collect();
        assert_eq!(candidates("./x.lua", &env), [PathBuf::from("./x.lua")]);
        let expected = ["scripts/x.lua", "/home/u/.local/share/kstate/scripts/x.lua"];
        assert_eq!(candidates("x", &env), expected.map(PathBuf::from));
    }
}
