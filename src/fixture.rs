//! The real state store that some tests run over, where it is at hand.

use std::path::Path;
use std::process::Command;

/// Key and bytes of each object of the fixture, in order; `None` (and the test passes over it)
/// where the fixture isn't there.
#[expect(clippy::disallowed_methods, reason = "a test unpacks its own copy")]
pub(crate) fn objects() -> Option<Vec<(String, Vec<u8>)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let archive = root.join("../shared/fixtures/kops-state.tar.gz");
    if !archive.exists() {
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(folder.path())
        .status()
        .expect("tar");
    assert!(status.success());
    Some(read_tree(&folder.path().join("old-state-store")))
}

/// The sample state store in `examples/state`.
pub(crate) fn sample() -> Vec<(String, Vec<u8>)> {
    read_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/state"))
}

#[expect(clippy::disallowed_methods, reason = "a test reads its own copy")]
fn read_tree(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut objects = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let key = path.strip_prefix(root).expect("below the root");
            let key = key.to_str().expect("UTF-8").to_owned();
            objects.push((key, std::fs::read(&path).expect("a readable file")));
        }
    }
    objects.sort();
    objects
}
