//! `kstate plan show`: files from the outside, exit codes, and what reaches which stream.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use age::secrecy::ExposeSecret;
use kstate::session::plan::file::{Recipients, save};
use kstate::session::plan::{Expects, Origin, Plan, PlannedChange, PlannedStore, Step};
use kstate::store::{Algorithm, Checksum};

use crate::support::Desk;

/// A plan that writes these objects anew.
fn plan(objects: &[(&str, &str)]) -> Plan {
    let mut plan = Plan {
        origin: Origin {
            id: "7f3a0123456789ab".to_owned(),
            script: "x.lua".to_owned(),
            ..Origin::default()
        },
        stores: vec![PlannedStore {
            url: "s3://b".to_owned(),
            options: [].into(),
            root: "s3://b".to_owned(),
            prefix: String::new(),
        }],
        ..Plan::default()
    };
    for (key, text) in objects {
        let content = Checksum::of(Algorithm::Sha256, text.as_bytes()).hex();
        plan.contents
            .insert(content.clone(), text.as_bytes().to_vec().into());
        plan.steps.push(Step {
            after: 0,
            store: 0,
            key: (*key).to_owned(),
            expects: Expects::Absent,
            size_before: None,
            before: None,
            change: PlannedChange::Write {
                content,
                size: text.len() as u64,
                content_type: None,
                user: [].into(),
            },
        });
    }
    plan
}

/// A desk with a plan in the file `p`, and the file's path.
fn desk(plan: &Plan) -> (Desk, String) {
    let desk = Desk::new();
    save(plan, &desk.path("p"), &Recipients::default()).expect("saved");
    let file = desk.arg("p");
    (desk, file)
}

#[test]
fn the_exit_code_tells_whether_there_are_changes() {
    let (desk, file) = desk(&plan(&[("c.example.com/instancegroup/nodes", "a: 1\n")]));
    desk.run(&["plan", "show", &file])
        .with(6)
        .says("+ instancegroup/nodes");
    desk.run(&["plan", "show", &file, "--json"]).with(6);
    desk.run(&["plan", "show", &file, "--html"])
        .with(6)
        .says("<!doctype html>");
    save(&plan(&[]), &desk.path("none"), &Recipients::default()).expect("saved");
    desk.run(&["plan", "show", &desk.arg("none")])
        .with(0)
        .says("nothing to do");
    desk.run(&["plan", "show", &file, "--json", "--html"])
        .with(2);
    desk.run(&["--help"]).with(0).says("6 the plan has changes");
}

#[test]
fn a_plan_comes_from_standard_input_too() {
    let (desk, file) = desk(&plan(&[("x", "y\n")]));
    let mut command = desk.kstate(&["plan", "show", "-"]);
    command.stdin(std::fs::File::open(file).expect("the plan"));
    let ended = crate::support::Ended::of(command).with(6);
    ended.says("kstate apply FILE");
}

#[test]
fn a_file_that_is_no_plan_is_refused_with_its_name() {
    let (desk, file) = desk(&plan(&[("x", "y\n")]));
    let text = desk.read("p");
    for (bytes, code, words) in [
        (text.replace("\"x\"", "\"z\""), 1, "it was cut or edited"),
        (
            text.replace("\"kstate_plan\":1", "\"kstate_plan\":7"),
            1,
            "version 7",
        ),
        ("kind: Cluster\n".to_owned(), 2, "this is no plan"),
    ] {
        desk.write("p", bytes);
        let ended = desk.run(&["plan", "show", &file]).with(code);
        ended.says(words);
        assert!(
            ended.stderr.contains(&file) && ended.stdout.is_empty(),
            "{}",
            ended.stderr
        );
    }
    desk.run(&["plan", "show", &desk.arg("none")])
        .with(1)
        .says("hint: check its name");
}

#[test]
fn secrets_are_shown_only_when_asked_for_and_pipes_get_no_colour() {
    let (desk, file) = desk(&plan(&[
        ("c.example.com/secrets/admin", "{\"Data\":\"TUFSS0VS\"}"),
        ("c.example.com/addons/x.yaml", "password: MARKER\n"),
    ]));
    for form in [&[][..], &["--json"], &["--html"], &["--full"]] {
        let args = [&["plan", "show", &file][..], form].concat();
        let ended = desk.run(&args).with(6);
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            !all.contains("TUFSS0VS") && !all.contains("MARKER"),
            "{all}"
        );
        assert!(!all.contains('\u{1b}'), "{all}");
        let open = desk.run(&[&args[..], &["--show-secrets"]].concat()).with(6);
        assert!(open.stdout.contains("TUFSS0VS") && open.stdout.contains("MARKER"));
    }
}

#[test]
fn an_encrypted_plan_needs_its_identity() {
    let desk = Desk::new();
    let file = desk.arg("p");
    let keys = [(); 2].map(|()| age::x25519::Identity::generate());
    let recipients = Recipients::parse(&[keys[0].to_public().to_string()]).expect("a key");
    save(&plan(&[("x", "y\n")]), Path::new(&file), &recipients).expect("saved");
    let mode = std::fs::metadata(&file)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    for (name, key) in ["mine", "other"].into_iter().zip(&keys) {
        desk.write(name, key.to_string().expose_secret());
    }
    let [mine, other] = ["mine", "other"].map(|name| desk.arg(name));
    let show = ["plan", "show", &file];
    desk.run(&show)
        .with(1)
        .says("--identity FILE, or KSTATE_AGE_IDENTITY");
    desk.run(&[&show[..], &["--identity", &other]].concat())
        .with(1)
        .says("no identity opens it");
    desk.run(&[&show[..], &["--identity", &other, "--identity", &mine]].concat())
        .with(6);
    let mut command = desk.kstate(&show);
    command.env("KSTATE_AGE_IDENTITY", desk.path("mine"));
    crate::support::Ended::of(command).with(6);
}
