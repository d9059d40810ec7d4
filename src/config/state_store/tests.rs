use super::*;
use std::fs;

struct Home(tempfile::TempDir);

impl Home {
    fn new(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        Self(home)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn resolve(&self, flag: Option<&str>, variable: Option<&str>) -> Resolution {
        let mut env = vec![("HOME", self.path(""))];
        env.extend(variable.map(|value| (VARIABLE, value.to_owned())));
        let inputs = Inputs {
            state_flag: flag.map(str::to_owned),
            config_flag: None,
        };
        resolve(&inputs, &env.into_iter().collect())
    }
}

fn flag(value: &str) -> Resolution {
    Home::new(&[]).resolve(Some(value), None)
}

fn winner(resolution: &Resolution) -> Option<&str> {
    let won = resolution.sources.iter().find(|source| source.won);
    won.map(|source| source.name.as_str())
}

#[test]
fn flag_then_variable_then_file() {
    let home = Home::new(&[(".kops.yaml", "kops_state_store: s3://file\n")]);
    let all = home.resolve(Some("s3://flag"), Some("s3://env"));
    assert_eq!(
        (all.value.as_deref(), winner(&all)),
        (Some("s3://flag"), Some("--state"))
    );
    assert_eq!(all.file(), None);
    let env = home.resolve(None, Some("s3://env"));
    assert_eq!(
        (env.value.as_deref(), winner(&env)),
        (Some("s3://env"), Some(VARIABLE))
    );
    let file = home.resolve(None, None);
    assert_eq!(file.value.as_deref(), Some("s3://file"));
    assert_eq!(file.file(), Some(Path::new(&home.path(".kops.yaml"))));
    let empty = home.resolve(None, Some(""));
    assert_eq!(
        empty.value.as_deref(),
        Some("s3://file"),
        "an empty variable is unset"
    );
}

#[test]
fn an_empty_flag_means_none_whatever_else_is_set() {
    let home = Home::new(&[(".kops.yaml", "kops_state_store: s3://file\n")]);
    for (flag, variable) in [(Some(""), Some("s3://env")), (Some("/"), None)] {
        let none = home.resolve(flag, variable);
        assert_eq!(
            (none.value.as_deref(), winner(&none)),
            (None, Some("--state"))
        );
        let error = none.store_url().expect_err("no store");
        assert!(
            error.to_string().contains("--state is set to nothing"),
            "{error}"
        );
    }
}

#[test]
fn without_any_the_error_says_what_to_set() {
    let error = Home::new(&[])
        .resolve(None, None)
        .store_url()
        .expect_err("none");
    let hint = error.hint_text().unwrap_or_default();
    for word in ["--state", VARIABLE, "kops_state_store", "~/.kops.yaml"] {
        assert!(hint.contains(word), "{hint}");
    }
}

#[test]
fn values_read_as_in_kops() {
    for (given, value, opened, warns) in [
        ("s3://b/", "s3://b", "s3://b", ""),
        ("s3://b//", "s3://b/", "s3://b", ""),
        ("s3://b/x", "s3://b/x", "s3://b/x", ""),
        ("s3://b?x=1", "s3://b?x=1", "s3://b", "kOps ignores"),
        (
            "s3://b?region=r",
            "s3://b?region=r",
            "s3://b",
            "kOps ignores",
        ),
        ("b", "b", "b", ""),
        ("s3:b", "s3:b", "s3:b", "write s3://b"),
        ("s3:/b", "s3:/b", "s3:/b", "write s3://b"),
        ("s3://", "s3:/", "s3:", "write s3://BUCKET"),
        ("gs://", "gs:/", "gs:", "write gs://BUCKET"),
        ("k8s://", "k8s:/", "k8s:", "write k8s://BUCKET"),
        ("s3:///b", "s3:///b", "refused", ""),
        ("S3://b", "S3://b", "S3://b", "write s3://b"),
        ("foo://b", "foo://b", "foo://b", ""),
        ("vault://h/m/p", "vault://h/m/p", "vault://h/m/p", ""),
        ("memfs://x", "memfs://x", "memfs://x", ""),
        ("do://b", "do://b", "do://b", ""),
        ("/srv/s", "/srv/s", "/srv/s", ""),
        (
            "file:///srv/s",
            "file:///srv/s",
            "/srv/s",
            "can't run on a state store in the file system",
        ),
        (
            "file://rel",
            "file://rel",
            "rel",
            "can't run on a state store in the file system",
        ),
    ] {
        let resolution = flag(given);
        assert_eq!(resolution.value.as_deref(), Some(value), "{given}");
        let url = resolution.store_url();
        let url = url.map_or_else(|_| "refused".to_owned(), |url| url.to_string());
        assert_eq!(url, opened, "{given}");
        let shown = resolution.to_string();
        assert_eq!(
            resolution.warnings.len(),
            usize::from(!warns.is_empty()),
            "{shown}"
        );
        assert!(shown.contains(warns), "{shown}");
    }
}

#[test]
fn files_are_yaml_whatever_their_name_and_keys_have_no_case() {
    for (name, text, value) in [
        (".kops.yaml", "KOPS_State_Store: s3://b/\n", Some("s3://b")),
        (
            ".kops/config",
            "# c\nother: 1\nkops_state_store: 's3://b'\n",
            Some("s3://b"),
        ),
        (
            ".kops/config",
            "{\"kops_state_store\": \"s3://b\"}",
            Some("s3://b"),
        ),
        (".kops.yaml", "state: s3://b\n", None),
        (".kops.yaml", "kops_state_store:\n", None),
        (".kops.yaml", "", None),
    ] {
        let resolution = Home::new(&[(name, text)]).resolve(None, None);
        assert_eq!(resolution.value.as_deref(), value, "{text}");
    }
}

#[test]
fn files_that_are_no_use_are_told_and_passed_over() {
    for (text, words) in [("a: [", "not used: line"), ("just text", "no YAML mapping")] {
        let resolution = Home::new(&[(".kops.yaml", text)]).resolve(None, None);
        assert_eq!(resolution.value, None);
        assert!(resolution.to_string().contains(words), "{resolution}");
    }
    let home = Home::new(&[(".kops.yaml/x", "")]);
    let folder = home.resolve(None, Some("s3://b"));
    assert!(folder.to_string().contains("can't be read"), "{folder}");
    assert_eq!(folder.value.as_deref(), Some("s3://b"));
}

#[test]
fn a_file_without_the_key_hides_the_next_one() {
    let home = Home::new(&[
        (".kops.yaml", "other: 1\n"),
        (".kops/config", "kops_state_store: s3://b\n"),
    ]);
    let resolution = home.resolve(None, None);
    assert_eq!(resolution.value, None, "as in kOps");
    assert_eq!(resolution.warnings.len(), 1);
    assert!(
        resolution.warnings[0]
            .fix
            .contains("kops_state_store: s3://b")
    );
    let other = Inputs {
        state_flag: None,
        config_flag: Some(home.path(".kops/config").into()),
    };
    let env = [("HOME", home.path(""))].into_iter().collect();
    let resolution = resolve(&other, &env);
    assert_eq!(resolution.value.as_deref(), Some("s3://b"));
    assert_eq!(resolution.sources.len(), 3, "only the file of --config");
}

#[test]
fn credentials_in_a_value_are_not_shown() {
    let resolution = flag("s3://AKIA:s3cr3t@b");
    assert!(!resolution.to_string().contains("s3cr3t"), "{resolution}");
    let json = serde_json::to_string(&resolution).expect("JSON");
    assert!(!json.contains("s3cr3t"), "{json}");
}

#[test]
fn explain_is_a_table() {
    let home = Home::new(&[(".kops.yaml", "kops_state_store: s3://file\n")]);
    let shown = home.resolve(None, Some("s3://env")).to_string();
    let shown = shown.replace(&home.path(""), "~/");
    let lines: Vec<_> = shown.lines().collect();
    assert!(
        lines[0].starts_with("  --state ") && lines[0].ends_with("  (not set)"),
        "{shown}"
    );
    assert!(lines[1].starts_with("* KOPS_STATE_STORE "), "{shown}");
    assert!(lines[2].ends_with("  s3://file"), "{shown}");
    assert!(lines[3].ends_with("(no such file)"), "{shown}");
    assert_eq!(lines[5], "state store: s3://env");
    assert_eq!(lines[6], "from KOPS_STATE_STORE: --state is not given");
}

#[test]
fn a_file_is_updated_in_place() {
    let text = "# mine\r\nkops_State_store:   \"s3://old\" # prod\r\nother: x\r\n";
    let new = set_in_file(text, "s3://new/x").expect("changed");
    assert_eq!(new, text.replace("s3://old", "s3://new/x"));
    let error = set_in_file("other: 1\n", "s3://n").expect_err("no key");
    assert!(
        error
            .hint_text()
            .is_some_and(|hint| hint.contains("kops_state_store: s3://n"))
    );
    let home = Home::new(&[(".kops.yaml", text)]);
    let file = home.path(".kops.yaml");
    update_file(Path::new(&file), "s3://new/x").expect("updated");
    assert_eq!(fs::read_to_string(&file).expect("read"), new);
    let missing = update_file(Path::new(&home.path("none")), "s3://n").expect_err("missing");
    assert_eq!(*missing.kind(), ErrorKind::NotFound);
}
