//! What a bucket's policy lets another user do, as a service that enforces it has it.

use serde_json::{Value, json};

use super::{Service, run};
use crate::scripts::policy::SCRIPT;
use crate::session::newest;
use crate::support::{Desk, Ended};

const BLUE: &str = "blue.k8s.example.com";
const GREEN: &str = "green.k8s.example.com";
/// Ceph's users have a tenant where AWS's have an account; these two have none.
const BOB: &str = "arn:aws:iam:::user/bob";

const READ: &[&str] = &["--access", "read", "--cluster", BLUE];
/// radosgw 16 takes no policy with an action that it doesn't know.
const WRITE: &[&str] = &[
    "--access",
    "write",
    "--cluster",
    BLUE,
    "--without",
    "s3:GetEncryptionConfiguration",
];

struct Scene {
    desk: Desk,
    alice: Service,
    bob: Service,
    bucket: String,
}

impl Scene {
    async fn new() -> Self {
        let alice = Service::radosgw();
        let scene = Self {
            desk: Desk::new(),
            bob: Service::radosgw_as_bob(),
            bucket: alice.bucket().await,
            alice,
        };
        let place = scene.alice.url(&scene.bucket);
        let fill = ["sync", "examples/state", &place];
        run(&scene.desk, &[&scene.alice], &fill).with(0);
        scene
    }

    /// The script, as Alice, for Bob.
    fn script(&self, flags: &[&str], verb: &str) -> Ended {
        let place = self.alice.url(&self.bucket);
        let arguments = ["run", SCRIPT, &place, "--principal", BOB, verb];
        run(&self.desk, &[&self.alice], &[&arguments, flags].concat())
    }

    /// Takes a run of Alice's back.
    fn undo(&self, id: &str) {
        run(&self.desk, &[&self.alice], &["undo", id]).with(0);
    }

    /// Whether Bob can do something with what is in the bucket.
    fn bob(&self, command: &str, name: &str) -> bool {
        let place = self.bob.url(&format!("{}/{name}", self.bucket));
        let arguments = match command {
            "put" => vec!["cp", "README.md", &place],
            command => vec![command, &place],
        };
        run(&self.desk, &[&self.bob], &arguments).code == Some(0)
    }

    /// Whether Bob can list, read, read a key and replace in one cluster; list and read in another;
    /// list the bucket.
    fn can(&self) -> [bool; 7] {
        let blue = |name: &str| format!("{BLUE}/{name}");
        let all = [
            ("ls", BLUE.to_owned()),
            ("cat", blue("config")),
            ("cat", blue("pki/private/kubernetes-ca/keyset.yaml")),
            // One that is there: whether another is missing, radosgw 16 doesn't tell Bob.
            ("put", blue("kops-version.txt")),
            ("ls", GREEN.to_owned()),
            ("cat", format!("{GREEN}/config")),
            ("ls", String::new()),
        ];
        all.map(|(command, name)| self.bob(command, &name))
    }

    async fn policy(&self) -> Value {
        let client = self.alice.client();
        let policy = client.get_bucket_policy().bucket(&self.bucket);
        let policy = policy.send().await.expect("a policy").policy;
        serde_json::from_str(&policy.expect("a policy")).expect("JSON")
    }

    /// Forbids Bob to read in the cluster, beside what is there; gives the policy.
    async fn forbid_reading(&self) -> Value {
        let mut policy = self.policy().await;
        let statements = policy["Statement"].as_array_mut().expect("statements");
        statements.push(json!({
            "Sid": "NoReading",
            "Effect": "Deny",
            "Principal": {"AWS": [BOB]},
            "Action": ["s3:GetObject"],
            "Resource": [format!("arn:aws:s3:::{}/{BLUE}/*", self.bucket)],
        }));
        let client = self.alice.client();
        let put = client.put_bucket_policy().bucket(&self.bucket);
        let put = put.policy(policy.to_string()).send().await;
        put.expect("a policy");
        policy
    }
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_opens_one_cluster_to_another_user_and_a_deny_wins() {
    let scene = Scene::new().await;
    assert_eq!(scene.can(), [false; 7]);

    scene.script(READ, "--check").with(1);
    scene.script(READ, "--apply").with(0);
    assert_eq!(scene.can(), [true, true, true, false, false, false, false]);
    scene.script(READ, "--check").with(0);
    let again = scene.script(READ, "--apply").with(0);
    again.says("says this already");

    scene.script(WRITE, "--check").with(1);
    scene.script(WRITE, "--apply").with(0);
    assert_eq!(scene.can(), [true, true, true, true, false, false, false]);

    // A write of Bob's looks at what is there first, so it is forbidden, too.
    let forbidden = [true, false, false, false, false, false, false];
    let policy = scene.forbid_reading().await;
    assert_eq!(scene.can(), forbidden);
    let check = scene.script(WRITE, "--check").with(1);
    let mut lines = check.stdout.lines();
    let denied = lines.find(|line| line.contains("s3:GetObject "));
    let denied = denied.expect("the action");
    assert!(denied.starts_with("denied"), "{denied}");
    assert!(denied.contains("NoReading"), "{denied}");

    scene.script(READ, "--apply").with(3);
    let replace = [READ, &["--replace"]].concat();
    scene.script(&replace, "--apply").with(0);
    let last = newest(&scene.desk);
    assert_eq!(scene.can(), forbidden);
    scene.undo(&last);
    assert_eq!(scene.policy().await, policy);
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn a_first_policy_is_taken_back_altogether() {
    let scene = Scene::new().await;
    let (config, other) = ("config", "cluster-completed.spec");
    let can = || [config, other].map(|name| scene.bob("cat", &format!("{GREEN}/{name}")));
    scene.script(&["--access", "list"], "--apply").with(0);
    assert_eq!(can(), [true, false]);
    scene.undo(&newest(&scene.desk));
    assert_eq!(can(), [false, false]);
}
