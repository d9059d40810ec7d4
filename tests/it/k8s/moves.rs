//! Whole trees, through the built binary.

use super::{NAMESPACE, chunks};
use crate::k8s_double::{Action, Fault, K8sDouble};
use crate::scripts::MOVE;
use crate::support::{Desk, Ended, clusters, sample, ten_clusters};

fn run(desk: &Desk, args: &[&str]) -> Ended {
    let mut command = desk.kstate(args);
    command.env("KUBECONFIG", desk.arg("kubeconfig"));
    Ended::of(command)
}

#[test]
fn a_store_comes_back_as_it_went_in() {
    let (desk, double) = (
        Desk::new(),
        K8sDouble::builder().namespace(NAMESPACE).start(),
    );
    desk.write("kubeconfig", double.kubeconfig("admin"));
    let mut tree = ten_clusters().unwrap_or_else(sample);
    tree.insert("c/backups/etcd/large".to_owned(), super::noise(5, 2 << 20));
    desk.write_tree("from", &tree);
    let (from, to) = (desk.arg("from"), "k8s:///state/kops");
    let busy = Action::Status(503, "ServiceUnavailable", "busy");
    double.fault(Fault::on("create", "secrets").then(busy));
    let ended = run(&desk, &["sync", &from, to]).with(0);
    assert!(
        !ended.stderr.contains("503"),
        "what is tried again is no error"
    );
    assert_eq!(chunks(&double).len(), 3);
    let created = double.count("create", "secrets") - 1;
    assert_eq!(
        created,
        tree.len() + 3,
        "one request an object, and its chunks"
    );
    run(&desk, &["diff", &from, to]).with(0);
    run(&desk, &["sync", to, &desk.arg("back")]).with(0);
    assert!(desk.tree("back") == tree);
    double.reset_counts();
    run(&desk, &["sync", &from, to]).with(0);
    let writes = ["create", "update"].map(|verb| double.count(verb, "secrets"));
    assert_eq!(writes, [0, 0], "nothing to do");
}

#[test]
fn clusters_that_fit_one_by_one_but_not_together_are_not_begun() {
    let (desk, double) = (
        Desk::new(),
        K8sDouble::builder().namespace(NAMESPACE).start(),
    );
    desk.write("kubeconfig", double.kubeconfig("admin"));
    let tree = sample();
    desk.write_tree("from", &tree);
    // The largest that there may be, which take no room on the disk.
    for (name, number) in clusters(&tree)
        .iter()
        .flat_map(|name| (0..17).map(move |n| (name, n)))
    {
        let backup = desk.path(&format!("from/{name}/backups/{number}"));
        std::fs::create_dir_all(backup.parent().expect("a folder")).expect("a folder");
        let file = std::fs::File::create(backup).expect("a file");
        file.set_len(64 << 20).expect("a large file");
    }
    let (from, to) = (desk.arg("from"), "k8s:///state/kops");
    let flags = ["--from", &from, "--to", to, "--all-clusters", "--yes"];
    let refused = run(&desk, &[&["run", MOVE], &flags[..]].concat()).with(3);
    refused.says("2048.0 MiB are the most that it takes in all");
    assert_eq!(run(&desk, &["ls", "-r", to]).with(0).stdout, "");
}
