//! `export_git`, `import_git` and `review_copy`, with a real git.

mod export;
mod import;
mod review;
mod sealed;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use age::secrecy::ExposeSecret;
use base64::Engine;

use crate::support::{Desk, Ended, Tree, sample, ten_clusters};

/// A desk with a store in `store`, a work tree in `repo`, and an identity in `key`.
struct Shop {
    desk: Desk,
    recipient: String,
}

impl Shop {
    fn new(tree: &Tree) -> Self {
        let desk = Desk::new();
        desk.write_tree("store", tree);
        let identity = age::x25519::Identity::generate();
        desk.write("key", identity.to_string().expose_secret());
        let shop = Self {
            desk,
            recipient: identity.to_public().to_string(),
        };
        shop.git(&["init", "--quiet", &shop.desk.arg("repo")]);
        shop
    }

    /// Runs git to its end, as a person does.
    #[track_caller]
    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(args)
            .env_clear()
            .env("PATH", std::env::var("PATH").expect("a PATH"))
            .env("HOME", self.desk.path(""))
            .stdin(Stdio::null())
            .output()
            .expect("git is installed (Debian: apt-get install git)");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        assert!(output.status.success(), "{args:?}: {}", text(output.stderr));
        text(output.stdout)
    }

    /// Runs git in the work tree.
    #[track_caller]
    fn repo(&self, args: &[&str]) -> String {
        let repo = self.desk.arg("repo");
        let mut all = vec!["-C", &repo, "-c", "user.name=A", "-c", "user.email=a@b"];
        all.extend(args);
        self.git(&all)
    }

    /// Commits all that is in the work tree.
    fn commit_all(&self) {
        self.repo(&["add", "--all"]);
        self.repo(&["commit", "--quiet", "-m", "by hand"]);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.desk.kstate(args);
        // The built-in scripts: those of the source tree may not run git unasked.
        command
            .current_dir(self.desk.path(""))
            .env("PATH", std::env::var("PATH").expect("a PATH"));
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args))
    }

    /// Exports all clusters of `store` into `repo/store`.
    fn export(&self, more: &[&str]) -> Ended {
        self.export_to("repo/store", more)
    }

    fn export_to(&self, to: &str, more: &[&str]) -> Ended {
        let to = self.desk.arg(to);
        let mut args = vec!["run", "export_git", "--state", "store", "--all-clusters"];
        args.extend(["--to", &to]);
        args.extend(more);
        self.run(&args)
    }

    /// [`export`](Self::export) with secrets and backups, and a commit.
    fn export_all(&self) -> Ended {
        self.export(&[
            "--encrypt-to",
            &self.recipient,
            "--with-backups",
            "--commit",
        ])
    }

    /// Imports `repo/store` into a store.
    fn import(&self, to: &str, more: &[&str]) -> Ended {
        let mut args = vec!["run", "import_git", "--from", "repo/store", "--state", to];
        args.extend(more);
        self.run(&args)
    }

    /// The last commit: its message, and the files that it changed.
    fn last_commit(&self) -> (String, Vec<String>) {
        let message = self.repo(&["log", "-1", "--format=%B"]);
        let files = self.repo(&["show", "--format=", "--name-only", "HEAD"]);
        (message, files.lines().map(str::to_owned).collect())
    }
}

/// The trees on which everything must hold.
fn trees() -> Vec<Tree> {
    [Some(sample()), ten_clusters()]
        .into_iter()
        .flatten()
        .collect()
}

/// The secrets of a tree, as they stand in its files and as they are meant.
fn secrets(tree: &Tree) -> Vec<String> {
    let mut secrets = Vec::new();
    for (key, bytes) in tree {
        if !(key.contains("/pki/private/") || key.contains("/secrets/")) {
            continue;
        }
        let text = String::from_utf8_lossy(bytes);
        for line in text.lines() {
            let value = line
                .split_once("privateMaterial: ")
                .map(|(_, value)| value)
                .or_else(|| line.strip_prefix("{\"Data\":\"")?.strip_suffix("\"}"));
            let Some(value) = value else { continue };
            secrets.push(value.to_owned());
            let plain = base64::engine::general_purpose::STANDARD.decode(value);
            secrets.extend(plain.ok().and_then(|plain| String::from_utf8(plain).ok()));
        }
    }
    assert!(secrets.len() > 10);
    secrets
}

/// Whether a file is an encrypted object.
fn is_sealed(file: &str) -> bool {
    file.strip_suffix(".age").is_some()
}

#[track_caller]
fn assert_holds_none(tree: &Tree, secrets: &[impl AsRef<str>]) {
    for (key, bytes) in tree {
        let text = String::from_utf8_lossy(bytes);
        for secret in secrets {
            assert!(!text.contains(secret.as_ref()), "a secret stands in {key}");
        }
    }
}

fn mode(path: &Path) -> u32 {
    let meta = std::fs::metadata(path).expect("it is there");
    meta.permissions().mode() & 0o777
}
