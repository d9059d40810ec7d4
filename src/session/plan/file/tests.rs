#![expect(clippy::disallowed_methods, reason = "the tests' own files")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use bytes::Bytes;
use proptest::prelude::*;

use super::super::difference::{Detail, difference};
use super::super::summary::Summary;
use super::super::{
    CopyOf, Expects, Origin, PlannedChange, PlannedLock, PlannedStore, SeenListing, SeenObject,
    Step,
};
use super::*;
use crate::session::lock::Strength;
use crate::store::{Algorithm, Checksum};

fn encoded(plan: &Plan) -> Vec<u8> {
    let mut bytes = Vec::new();
    lines::encode(plan, &mut bytes).expect("memory takes all");
    bytes
}

/// Lines with an end that fits them.
fn sealed(lines: &[String]) -> Vec<u8> {
    let body = format!("{}\n", lines.join("\n"));
    let sha256 = Checksum::of(Algorithm::Sha256, body.as_bytes()).hex();
    let end = lines::end(lines.len(), &sha256);
    format!("{body}{end}").into_bytes()
}

fn lines_of(plan: &Plan) -> Vec<String> {
    let text = String::from_utf8(encoded(plan)).expect("JSON");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.pop();
    lines
}

/// What a script does, as a few numbers.
type Act = (usize, u8, u8, Vec<u8>);

/// The plan of some writes, copies and deletes over a few keys of two stores.
fn plan_of(acts: &[Act], created: &str) -> Plan {
    let store = |name: &str, prefix: &str| PlannedStore {
        url: format!("s3://{name}/{prefix}"),
        options: [("region".to_owned(), "eu-west-1".to_owned())].into(),
        root: format!("s3/{name}"),
        prefix: prefix.to_owned(),
    };
    let mut plan = Plan {
        origin: Origin {
            id: "0123456789abcdef".to_owned(),
            created: created.to_owned(),
            ..Origin::default()
        },
        stores: vec![store("one", "state"), store("two", "a/b")],
        ..Plan::default()
    };
    let mut last: std::collections::BTreeMap<(usize, String), usize> = [].into();
    let keep = |plan: &mut Plan, bytes: &[u8]| {
        let bytes = Bytes::copy_from_slice(bytes);
        let sha256 = lines::hash(&bytes);
        plan.contents.insert(sha256.clone(), bytes);
        sha256
    };
    for (at, (store, key, kind, bytes)) in acts.iter().enumerate() {
        let (store, key) = (store % 2, format!("c{}/ü {key}", key % 2));
        let earlier = last.get(&(store, key.clone())).copied();
        let expects = match earlier.map(|step| (step, &plan.steps[step].change)) {
            Some((_, PlannedChange::Delete)) => Expects::Absent,
            Some((step, _)) => Expects::Step(step),
            None if kind % 5 == 0 => Expects::Tag(format!("\"{at}\"")),
            None => Expects::Absent,
        };
        let has_before = matches!(expects, Expects::Tag(_));
        let before = has_before.then(|| keep(&mut plan, b"before\n"));
        let change = match kind % 3 {
            0 => PlannedChange::Delete,
            1 => PlannedChange::Copy {
                store: 1 - store,
                key: "from/there".to_owned(),
                version: CopyOf::Tag("t".to_owned()),
                size: 7,
            },
            _ => PlannedChange::Write {
                content: keep(&mut plan, bytes),
                size: bytes.len() as u64,
                content_type: (bytes.len() % 2 == 0).then(|| "text/plain".to_owned()),
                user: [("k".to_owned(), "v".to_owned())].into(),
            },
        };
        last.insert((store, key.clone()), at);
        plan.observed.objects.push(SeenObject {
            store,
            key: key.clone(),
            version: has_before.then(|| "v".to_owned()),
        });
        plan.steps.push(Step {
            after: at.saturating_sub(usize::from(*kind) % 3),
            store,
            key,
            expects,
            size_before: before.as_ref().map(|_| 7),
            before,
            change,
        });
    }
    plan.locks.push(PlannedLock {
        store: 1,
        name: "move".to_owned(),
        ttl_ms: 30_000,
        min_strength: Strength::Atomic,
    });
    plan.observed.listings.push(SeenListing {
        store: 0,
        below: String::new(),
        one_level: true,
        after: None,
        until: Some("x/".to_owned()),
        others: vec!["x/".to_owned()],
    });
    plan
}

fn some_plan() -> Plan {
    let act = |store, key, kind, text: &str| (store, key, kind, text.as_bytes().to_vec());
    plan_of(
        &[
            act(0, 0, 2, "first"),
            act(0, 0, 5, "second"),
            act(1, 1, 10, ""),
            act(0, 1, 4, ""),
            act(0, 0, 3, ""),
        ],
        "2026-06-01T00:00:00Z",
    )
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec((0..2_usize, any::<u8>(), any::<u8>(), bytes), 0..12)
}

proptest! {
    #[test]
    fn what_was_saved_is_loaded(acts in acts(), created in ".*") {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p");
        let plan = plan_of(&acts, &created);
        save(&plan, &path, &Recipients::default()).expect("saved");
        prop_assert_eq!(load(&path, &[]).expect("loaded"), plan);
    }

    #[test]
    fn a_hostile_file_is_refused_or_in_order(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[0-9a-z/.\"{}:,-]{0,3}"), 1..4),
    ) {
        let mut lines = lines_of(&some_plan());
        for (line, at, text) in edits {
            let line = line.get(&lines).clone();
            let position = lines.iter().position(|other| *other == line).expect("it is one of them");
            let at = at.index(line.len());
            if line.is_char_boundary(at) && line.is_char_boundary(at + 1) {
                lines[position].replace_range(at..=at, &text);
            }
        }
        if let Ok(plan) = parse(&sealed(&lines)) {
            check::check(&plan).expect("what was loaded is in order");
            let detail = Detail { full: true, show_secrets: false };
            for step in &plan.steps {
                let _ = difference(&plan, step, false, detail);
            }
            let summary = Summary::of(&plan);
            let groups = summary.stores.iter().flat_map(|store| &store.groups);
            let steps = groups.flat_map(|group| &group.objects).map(|object| object.steps.len());
            prop_assert_eq!(steps.sum::<usize>(), plan.steps.len());
            prop_assert_eq!(parse(&encoded(&plan)).expect("loaded again"), plan);
        }
    }
}

#[test]
fn no_byte_of_a_file_can_be_changed_or_left_out() {
    let bytes = encoded(&some_plan());
    parse(&bytes).expect("as it is");
    for at in 0..bytes.len() {
        parse(&bytes[..at]).expect_err("cut");
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            parse(&changed).expect_err("changed");
        }
    }
    parse(&[&bytes[..], b"\n"].concat()).expect_err("a line more");
}

#[test]
fn a_line_of_another_file_doesnt_go_in() {
    let mut lines = lines_of(&some_plan());
    lines.push(lines[3].clone());
    let text = sealed(&lines[..lines.len() - 1]);
    let mut more = text.clone();
    more.splice(0..0, b"{}\n".iter().copied());
    parse(&more).expect_err("a line before the first");
    parse(&sealed(&lines)).expect_err("a content twice");
}

/// Changes a plan so that it contradicts itself, and what is said of it then.
type Spoiled = (fn(&mut Plan), &'static str);

const SPOILED: &[Spoiled] = &[
    (|plan| plan.origin.id = "../../etc".into(), "its id"),
    (|plan| plan.origin.script_sha256 = "zz".into(), "its script"),
    (|plan| plan.stores[0].url = "s3://u:p@b".into(), "its URL"),
    (
        |plan| plan.stores[0].url = "s3://b?region=x".into(),
        "options in its URL",
    ),
    (|plan| plan.stores[0].prefix = "../up".into(), "store 0"),
    (
        |plan| {
            plan.stores[0].options.insert("token".into(), "x".into());
        },
        "an option that doesn't exist",
    ),
    (|plan| plan.steps[1].store = 2, "step 1: no such store"),
    (|plan| plan.steps[1].after = 2, "it comes after itself"),
    (|plan| plan.steps[1].key = "a/../../b".into(), "'..'"),
    (|plan| plan.steps[1].key = "/etc/passwd".into(), "slash"),
    (
        |plan| plan.steps[1].expects = Expects::Step(1),
        "doesn't come before",
    ),
    (
        |plan| plan.steps[1].expects = Expects::Step(usize::MAX),
        "doesn't come before",
    ),
    (
        |plan| plan.steps[2].expects = Expects::Step(0),
        "another object",
    ),
    (
        |plan| plan.steps[0].size_before = Some(1),
        "expects nothing",
    ),
    (
        |plan| plan.steps[0].before = Some("0".into()),
        "expects nothing",
    ),
    (|plan| plan.contents.clear(), "its bytes are missing"),
    (
        |plan| {
            for bytes in plan.contents.values_mut() {
                *bytes = Bytes::from_static(b"other");
            }
        },
        "the hash",
    ),
    (
        |plan| {
            if let PlannedChange::Write { size, .. } = &mut plan.steps[0].change {
                *size += 1;
            }
        },
        "another size",
    ),
    (
        |plan| {
            if let PlannedChange::Copy { version, .. } = &mut plan.steps[3].change {
                *version = CopyOf::Step(4);
            }
        },
        "doesn't come before",
    ),
    (
        |plan| {
            if let PlannedChange::Copy { version, .. } = &mut plan.steps[3].change {
                *version = CopyOf::Step(0);
            }
        },
        "another object",
    ),
    (
        |plan| {
            if let PlannedChange::Copy { key, .. } = &mut plan.steps[3].change {
                *key = "..".into();
            }
        },
        "'..'",
    ),
    (|plan| plan.locks[0].store = 9, "a lock"),
    (
        |plan| plan.locks[0].name = "../../c/config".into(),
        "a lock",
    ),
    (
        |plan| plan.observed.objects[0].key = String::new(),
        "an object",
    ),
    (
        |plan| plan.observed.listings[0].below = "a/".into(),
        "a listing",
    ),
];

#[test]
fn what_contradicts_itself_is_neither_saved_nor_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p");
    for (spoil, words) in SPOILED {
        let mut plan = some_plan();
        spoil(&mut plan);
        let fault = parse(&encoded(&plan)).expect_err(words);
        assert!(fault.message.contains(words), "{} / {words}", fault.message);
        save(&plan, &path, &Recipients::default()).expect_err(words);
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.into_string().expect("UTF-8"))
        .collect()
}

#[test]
fn other_files_and_other_versions_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p");
    let text = String::from_utf8(encoded(&some_plan())).expect("JSON");
    let newer = text.replacen("{\"kstate_plan\":1", "{\"kstate_plan\":2", 1);
    for (bytes, words) in [
        (
            newer.as_str(),
            "version 2 of the plan format, and this kstate reads version 1",
        ),
        ("kind: Cluster\n", "this is no plan"),
        ("", "this is no plan"),
        ("{\"kstate_plan\":1", "this is no plan"),
        ("{\"kstate_plan\":1}\n", "its end is missing"),
        (text.trim_end(), "its end is missing"),
        ("age-encryption.org/v1\n", "it was cut or edited"),
    ] {
        fs::write(&path, bytes).expect("written");
        let error = load(&path, &[]).expect_err(words).to_string();
        assert!(error.contains(words), "{error} / {words}");
        assert!(error.contains(path.to_str().expect("UTF-8")), "{error}");
    }
    let error = load(&folder.path().join("none"), &[]).expect_err("no file");
    assert_eq!(*error.kind(), ErrorKind::NotFound);
}

#[test]
fn the_file_is_the_users_alone_and_replaced_as_a_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, link) = (folder.path().join("p"), folder.path().join("link"));
    fs::write(&path, "old").expect("written");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("a mode");
    symlink("p", &link).expect("a link");
    save(&some_plan(), &link, &Recipients::default()).expect("saved");
    assert_eq!(load(&path, &[]).expect("loaded"), some_plan());
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(link.is_symlink());
    let mut found = names(folder.path());
    found.sort();
    assert_eq!(found, ["link", "p"]);
    let error = save(&some_plan(), folder.path(), &Recipients::default()).expect_err("a folder");
    assert!(error.to_string().contains("not a file"), "{error}");
}

#[test]
fn an_encrypted_plan_opens_for_its_recipients_only() {
    use age::secrecy::ExposeSecret;

    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let keys = [(); 3].map(|()| age::x25519::Identity::generate());
    for (name, key) in ["one", "two", "other"].into_iter().zip(&keys) {
        let text = format!("# {name}\n{}\n", key.to_string().expose_secret());
        fs::write(at(name), text).expect("written");
    }
    fs::write(at("team"), format!("# us\n\n{}\n", keys[1].to_public())).expect("written");
    let team = at("team").to_str().expect("UTF-8").to_owned();
    let recipients = Recipients::parse(&[keys[0].to_public().to_string(), team]);
    let path = at("p");
    save(&some_plan(), &path, &recipients.expect("two keys")).expect("saved");
    let sealed_bytes = fs::read(&path).expect("a file");
    let needle = b"0123456789abcdef";
    assert!(
        !sealed_bytes
            .windows(needle.len())
            .any(|part| part == needle)
    );
    for identities in [vec![at("one")], vec![at("other"), at("two")]] {
        assert_eq!(load(&path, &identities).expect("loaded"), some_plan());
    }
    for (identities, words) in [
        (vec![], "no identity was given"),
        (vec![at("other")], "no identity opens it"),
        (vec![at("team")], "no secret key"),
        (vec![at("none")], "cannot read the identity"),
    ] {
        let error = load(&path, &identities).expect_err(words).to_string();
        assert!(error.contains(words), "{error} / {words}");
    }
    let cut = at("cut");
    for length in 0..sealed_bytes.len() {
        fs::write(&cut, &sealed_bytes[..length]).expect("written");
        load(&cut, &[at("one")]).expect_err("cut");
    }
}
