//! The built binary, and trees of files to run it on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kstate::store::contract::{Outcome, Report};

/// A tree: names and bytes.
pub(crate) type Tree = BTreeMap<String, Vec<u8>>;

/// A folder of a test's own, which is the home of what it runs.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path as an argument.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.path(name).to_str().expect("a UTF-8 path").to_owned()
    }

    /// Writes a file and the folders above it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, bytes).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let bytes =
            std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        String::from_utf8(bytes).expect("UTF-8")
    }

    pub(crate) fn write_tree(&self, name: &str, tree: &Tree) {
        for (key, bytes) in tree {
            self.write(&format!("{name}/{key}"), bytes);
        }
    }

    /// All files below a folder; none when it is missing.
    pub(crate) fn tree(&self, name: &str) -> Tree {
        tree_of(&self.path(name))
    }

    /// How many files lie below a folder, counted while it changes.
    pub(crate) fn tree_size(&self, name: &str) -> usize {
        fn count(folder: &Path) -> usize {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .map(|entry| {
                    if entry.path().is_dir() {
                        count(&entry.path())
                    } else {
                        1
                    }
                })
                .sum()
        }
        count(&self.path(name))
    }

    /// The binary, in an environment that leads nowhere.
    pub(crate) fn kstate(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kstate"));
        command
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_clear()
            .env("HOME", self.folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(std::process::Stdio::null());
        command
    }

    /// Runs the binary to its end, with the desk's own folder as the working directory.
    pub(crate) fn run_here(&self, args: &[&str]) -> Ended {
        let mut command = self.kstate(args);
        command.current_dir(self.folder.path());
        Ended::of(command)
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        Ended::of(self.kstate(args))
    }
}

pub(crate) fn tree_of(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("a path below");
            let name = name.to_str().expect("a UTF-8 name").to_owned();
            tree.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
    tree
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(mut command: Command) -> Self {
        command.output().expect("the binary runs").into()
    }

    /// The run, if it ended with this exit code.
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        let all = format!("{}\n{}", self.stdout, self.stderr);
        assert!(all.contains(text), "{text:?} is not in\n{all}");
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8 output");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// The sample store of the README.
pub(crate) fn sample() -> Tree {
    tree_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/state"))
}

/// The real store of ten clusters, where it is at hand.
pub(crate) fn ten_clusters() -> Option<Tree> {
    let archive =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/kops-state.tar.gz");
    if !archive.is_file() {
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(folder.path())
        .status()
        .expect("tar runs");
    assert!(unpacked.success());
    Some(tree_of(&folder.path().join("old-state-store")))
}

/// The clusters of a tree.
pub(crate) fn clusters(tree: &Tree) -> Vec<String> {
    let names = tree.keys().filter_map(|key| key.strip_suffix("/config"));
    names
        .filter(|name| !name.contains('/'))
        .map(str::to_owned)
        .collect()
}

/// The lines in which two texts differ, as `-old` and `+new`.
pub(crate) fn changed_lines(old: &[u8], new: &[u8]) -> Vec<String> {
    let [old, new] = [old, new].map(|bytes| String::from_utf8(bytes.to_vec()).expect("UTF-8"));
    let diff = similar::TextDiff::from_lines(&old, &new);
    let changes = diff.iter_all_changes();
    changes
        .filter(|change| change.tag() != similar::ChangeTag::Equal)
        .map(|change| format!("{}{}", change.tag(), change.to_string().trim_end()))
        .collect()
}

/// Holds a report to what the server is known to do. A check that fails or isn't claimed against
/// expectation is as wrong as one that passes against it: the lists are to stay true.
#[track_caller]
pub(crate) fn assert_verdict(report: &Report, failing: &[&str], not_claimed: &[&str]) {
    let names = |wanted: fn(&Outcome) -> bool| -> BTreeSet<&str> {
        let checks = report.checks.iter();
        let those = checks.filter(|check| wanted(&check.outcome));
        those.map(|check| check.name).collect()
    };
    let failed = names(|outcome| matches!(outcome, Outcome::Failed(_)));
    let unclaimed = names(|outcome| matches!(outcome, Outcome::NotClaimed(_)));
    assert_eq!(failed, failing.iter().copied().collect(), "{report}");
    assert_eq!(unclaimed, not_claimed.iter().copied().collect(), "{report}");
}
