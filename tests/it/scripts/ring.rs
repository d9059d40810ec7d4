//! `move_bucket` from each kind of store to the next, and back to where it began.

use std::fmt::Write as _;

use age::secrecy::ExposeSecret;

use super::{MOVE, assert_moved};
use crate::azure_double;
use crate::gs_double;
use crate::k8s_double::K8sDouble;
use crate::oss_double;
use crate::s3_double::S3Double;
use crate::support::{Desk, Ended, clusters, sample, ten_clusters};
use crate::swift_double;

#[test]
fn ten_clusters_go_round_through_all_kinds_of_stores_and_come_back() {
    let tree = ten_clusters().unwrap_or_else(sample);
    let desk = Desk::new();
    desk.write_tree("old", &tree);
    let s3 = S3Double::builder().bucket("state").start();
    let gs = gs_double::start();
    let azure = azure_double::start();
    let oss = oss_double::start();
    let swift = swift_double::start();
    let k8s = K8sDouble::builder().namespace("state").start();
    desk.write("kubeconfig", k8s.kubeconfig("admin"));
    let identity = age::x25519::Identity::generate();
    desk.write("age.txt", identity.to_string().expose_secret());
    let google = gs.endpoint();
    // The names of stores in kstate's configuration, and their URLs.
    let stores = [
        ("amazon", "s3://state/ring"),
        ("google", "gs://bucket/ring"),
        ("azure", "azureblob://first/container/ring"),
        ("alibaba", "oss://bucket/ring"),
        ("openstack", "swift://container/ring"),
        ("cluster", "k8s:///state/ring"),
        ("sealed", "crypt://sealed/ring"),
    ];
    let options = [
        ("google", format!("endpoint: {google}")),
        ("azure", format!("endpoint: {}", azure.endpoint())),
        ("alibaba", format!("endpoint: {}", oss.endpoint())),
        (
            "sealed",
            format!(
                "store: {}\n    identity: {}\n    recipients: {}",
                desk.arg("encrypted"),
                desk.arg("age.txt"),
                identity.to_public()
            ),
        ),
    ];
    desk.write(".config/kstate/config.yaml", settings(&stores, &options));
    let env = [
        (
            "GCE_METADATA_HOST",
            google.trim_start_matches("http://").to_owned(),
        ),
        ("KUBECONFIG", desk.arg("kubeconfig")),
        ("AZURE_STORAGE_KEY", azure_double::key_of("first")),
        ("OSS_REGION", oss_double::REGION.to_owned()),
        ("ALIYUN_ACCESS_KEY_ID", oss_double::KEY.0.to_owned()),
        ("ALIYUN_ACCESS_KEY_SECRET", oss_double::KEY.1.to_owned()),
        ("ST_AUTH", format!("{}/auth/v1.0", swift.endpoint())),
        ("ST_USER", "test:tester".to_owned()),
        ("ST_KEY", "testing".to_owned()),
    ];
    let run = |args: &[&str]| {
        let mut run = desk.kstate(args);
        run.envs(s3.env()).envs(env.clone());
        Ended::of(run).with(0)
    };

    let one = clusters(&tree).into_iter().next().expect("a cluster");
    let (mut from, back) = (desk.arg("old"), desk.arg("back"));
    let named = stores.map(|(name, url)| (name, url, format!("{name}:")));
    let folder = (&*back, &*back, format!("{back}/"));
    for (to, url, within) in named.into_iter().chain([folder]) {
        let flags = ["--from", &from, "--to", to, "--all-clusters", "--yes"];
        let moved = run(&[&["run", MOVE], &flags[..]].concat());
        let is_told = moved.stderr.contains("not carried from");
        assert!(is_told, "{}", moved.stderr);
        let config = run(&["cat", &format!("{within}{one}/config")]).stdout;
        let base = format!("configBase: {url}/{one}\n");
        assert!(config.contains(&base), "{to}: {config}");
        to.clone_into(&mut from);
    }
    assert_moved(&tree, &desk.tree("back"), &back);
}

/// kstate's configuration: the names of stores and their URLs, and further lines of some.
fn settings(stores: &[(&str, &str)], options: &[(&str, String)]) -> String {
    let mut settings = "stores:\n".to_owned();
    for (name, url) in stores {
        writeln!(settings, "  {name}:\n    url: {url}").expect("a text");
        for (_, lines) in options.iter().filter(|(of, _)| of == name) {
            writeln!(settings, "    {lines}").expect("a text");
        }
    }
    settings
}
