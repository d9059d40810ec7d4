//! Two users of one server, and what a second run asks it.

use super::{Service, run};
use crate::support::Desk;

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_names_the_action_and_the_bucket() {
    let (alice, bob) = (Service::radosgw(), Service::radosgw_as_bob());
    let bucket = alice.bucket().await;
    let desk = Desk::new();
    let theirs = alice.url(&bucket);
    run(&desk, &[&alice], &["sync", "examples/state", &theirs]).with(0);
    let theirs = bob.url(&bucket);
    let back = desk.arg("back");
    let args: [(&[&str], &str); 3] = [
        (&["ls", &theirs], "s3:ListBucket"),
        (&["sync", &theirs, &back], "s3:ListBucket"),
        // The lock comes first.
        (&["sync", "examples/state", &theirs], "s3:PutObject"),
    ];
    for (args, action) in args {
        let ended = run(&desk, &[&bob], args).with(1);
        ended.says(action);
        ended.says(&format!("arn:aws:s3:::{bucket}"));
    }
    assert!(desk.tree("back").is_empty());
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_learns_which_action_writing_needs() {
    let (alice, bob) = (Service::radosgw(), Service::radosgw_as_bob());
    let bucket = alice.bucket().await;
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": ["arn:aws:iam:::user/bob"]},
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")],
        }],
    });
    let put = alice.client();
    let put = put.put_bucket_policy().bucket(&bucket);
    let put = put.policy(policy.to_string()).send().await;
    put.expect("a policy");
    let desk = Desk::new();
    run(
        &desk,
        &[&alice],
        &["sync", "examples/state", &alice.url(&bucket)],
    )
    .with(0);
    let before = alice.tree(&bucket).await;
    let theirs = bob.url(&bucket);
    run(&desk, &[&bob], &["sync", &theirs, &desk.arg("back")]).with(0);
    assert!(desk.tree("back") == before);
    desk.write("more/a", "x");
    let more = [desk.arg("more"), desk.arg("more/a")];
    let ended = run(&desk, &[&bob], &["sync", &more[0], &theirs]).with(1);
    ended.says("s3:PutObject");
    let place = bob.url(&format!("{bucket}/a"));
    let ended = run(&desk, &[&bob], &["cp", &more[1], &place]).with(1);
    ended.says("s3:PutObject");
    ended.says(&format!("arn:aws:s3:::{bucket}/a"));
    assert!(alice.tree(&bucket).await == before);
}
