//! Locks on a service that answers 200 to conditional writes and overwrites all the same.

use kstate::session::Mode;
use kstate::session::lock::{LockOptions, State, Strength};
use kstate::store::ErrorKind;

use super::{at_once, open, script, session, trust};
use crate::s3_double::{Personality, S3Double};
use crate::scripts::is_write;
use crate::support::{Desk, Ended};

fn garage() -> S3Double {
    S3Double::builder()
        .personality(Personality::Garage)
        .bucket("bucket")
        .start()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_after_the_other_and_clearly_labelled() {
    let (desk, double) = (Desk::new(), garage());
    let [one, two] = [(); 2].map(|()| session(&desk, Some(&double), Mode::Direct));
    let (first, second) = (
        open(&one, "s3://bucket/state"),
        open(&two, "s3://bucket/state"),
    );
    let held = one.lock(&first, "job", &at_once()).await.expect("free");
    assert_eq!(held.record().strength, Strength::Advisory);

    let error = two.lock(&second, "job", &at_once()).await.map(|_| ());
    let error = error.expect_err("it is held");
    assert_eq!(*error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("advisory"), "{error}");
    let status = two.lock_status(&second).await.expect("a status");
    let [lock] = &status.locks[..] else {
        panic!("{status:?}");
    };
    assert_eq!(lock.name, "job");
    let record = lock.record().expect("a record");
    assert_eq!(
        (record.state, record.strength),
        (State::Held, Strength::Advisory)
    );
    let judgement = status.judgement.expect("it was probed");
    assert!(judgement.why.contains("create-if-absent"), "{judgement:?}");

    held.release().await;
    let held = two.lock(&second, "job", &at_once()).await.expect("free");
    held.release().await;
    assert_eq!(double.keys("bucket"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_ask_at_once_one_gets_it() {
    let (desk, double) = (Desk::new(), garage());
    let sessions: Vec<_> = (0..6)
        .map(|_| session(&desk, Some(&double), Mode::Direct))
        .collect();
    // The first lock of all probes; the others find what it saw.
    let first = open(&sessions[0], "s3://bucket");
    let probed = sessions[0].lock(&first, "other", &at_once()).await;
    probed.expect("free").release().await;
    for _ in 0..3 {
        let options = at_once();
        let asking = sessions.iter().map(|session| {
            let (store, options) = (open(session, "s3://bucket"), &options);
            async move { session.lock(&store, "job", options).await }
        });
        let mut won = Vec::new();
        for outcome in futures::future::join_all(asking).await {
            match outcome {
                Ok(guard) => won.push(guard),
                Err(error) => assert_eq!(*error.kind(), ErrorKind::Locked, "{error}"),
            }
        }
        assert_eq!(won.len(), 1);
        for guard in won {
            guard.release().await;
        }
    }
    assert_eq!(double.keys("bucket"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wants_more_is_told_what_the_probe_saw_and_nothing_is_written() {
    let (desk, double) = (Desk::new(), garage());
    let session = session(&desk, Some(&double), Mode::Direct);
    let store = open(&session, "s3://bucket");
    let options = LockOptions {
        min_strength: Strength::Atomic,
        ..at_once()
    };
    for _ in 0..2 {
        let error = session.lock(&store, "job", &options).await.map(|_| ());
        let error = error.expect_err("it is not worth that");
        assert_eq!(*error.kind(), ErrorKind::Unsupported);
        assert!(
            error
                .to_string()
                .contains("let a create-if-absent overwrite"),
            "{error}"
        );
        assert_eq!(double.keys("bucket"), Vec::<String>::new());
        double.reset_counts();
    }
    let again = double.requests();
    assert!(
        !again.iter().any(|request| is_write(&request.op)),
        "it is known by now"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_trusts_the_service_and_one_that_doesnt_exclude_each_other() {
    let double = S3Double::builder().bucket("bucket").start();
    let [trusting, doubting] = [Desk::new(), Desk::new()];
    trust(&trusting, &double, &["bucket"]);
    let known = doubting_cache(&double);
    doubting.write(".cache/kstate/probes.json", known);
    let one = session(&trusting, Some(&double), Mode::Direct);
    let two = session(&doubting, Some(&double), Mode::Direct);
    for (first, second) in [(&one, &two), (&two, &one)] {
        let held = first
            .lock(&open(first, "s3://bucket"), "job", &at_once())
            .await;
        let held = held.expect("free");
        let refused = second
            .lock(&open(second, "s3://bucket"), "job", &at_once())
            .await;
        let error = refused.map(|_| ()).expect_err("it is held");
        assert_eq!(*error.kind(), ErrorKind::Locked);
        held.release().await;
        assert_eq!(double.keys("bucket"), Vec::<String>::new());
    }
}

fn doubting_cache(double: &S3Double) -> String {
    let desk = Desk::new();
    trust(&desk, double, &["bucket"]);
    desk.read(".cache/kstate/probes.json")
        .replace("atomic", "advisory")
}

#[test]
fn scripts_see_the_label_and_can_demand_more() {
    let (desk, double) = (Desk::new(), garage());
    let text = r#"
local store = kstate.store.open("s3://bucket")
print(store:lock("job", function(lock) return lock.strength end))
local ok, e = pcall(store.lock, store, "job", { min_strength = "atomic" }, print)
assert(not ok and e:is("unsupported") and e.hint:find("advisory"), tostring(e))
"#;
    let run = script(&desk, Some(&double), text, &[]);
    let ended = Ended::of(run).with(0);
    assert_eq!(ended.stdout, "advisory\n");
}
