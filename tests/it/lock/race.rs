//! 32 racers on one lock.

use std::sync::Arc;

use futures::future::join_all;
use kstate::session::Mode;
use kstate::session::lock::{LockOptions, Strength};
use kstate::store::ErrorKind;
use tokio::sync::Barrier;

use super::{open, script, session, trust};
use crate::s3_double::S3Double;
use crate::support::{Desk, Ended};

const RACERS: usize = 32;

/// Each time all sessions try at once, one must get it; it holds it until all others know.
pub(crate) async fn one_of_32_wins(
    sessions: Vec<kstate::session::Session>,
    url: &str,
    rounds: usize,
    min_strength: Strength,
) {
    assert_eq!(sessions.len(), RACERS);
    let sessions: Vec<_> = sessions.into_iter().map(Arc::new).collect();
    let mut fencing = 0;
    for round in 0..rounds {
        let start = Arc::new(Barrier::new(RACERS));
        let racers = sessions.iter().map(|session| {
            let (session, start) = (Arc::clone(session), Arc::clone(&start));
            let store = open(&session, url);
            tokio::spawn(async move {
                start.wait().await;
                let options = LockOptions {
                    min_strength,
                    ..LockOptions::default()
                };
                session.lock(&store, "race", &options).await
            })
        });
        let mut winners = Vec::new();
        for racer in join_all(racers).await {
            match racer.expect("no panic") {
                Ok(guard) => winners.push(guard),
                Err(error) => assert_eq!(*error.kind(), ErrorKind::Locked, "{error}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        for winner in winners {
            assert!(winner.record().fencing > fencing, "round {round}");
            fencing = winner.record().fencing;
            winner.release().await;
        }
    }
}

pub(crate) fn racers(make: impl Fn() -> kstate::session::Session) -> Vec<kstate::session::Session> {
    (0..RACERS).map(|_| make()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_32_wins_each_time_on_s3() {
    let (desk, double) = (Desk::new(), S3Double::builder().bucket("bucket").start());
    trust(&desk, &double, &["bucket"]);
    let sessions = racers(|| session(&desk, Some(&double), Mode::Direct));
    one_of_32_wins(sessions, "s3://bucket/state", 200, Strength::Atomic).await;
    assert_eq!(double.keys("bucket"), Vec::<String>::new());
}

/// Counts under the lock without any other care, and notices whoever is inside at the same time.
pub(crate) const COUNT: &str = r#"
local store, times = kstate.store.open(arg[1]), tonumber(arg[2])
for _ = 1, times do
  store:lock("count", { ttl = "30s", wait = "5m", min_strength = arg[3] }, function(lock)
    local before = kstate.json.decode(store:read("count") or '{ "count": 0, "fencing": 0 }')
    assert(lock.fencing > before.fencing, "the number does not grow")
    assert(store:write("inside", lock.holder, { if_absent = true }), "two are inside")
    store:write("count", kstate.json.encode({ count = before.count + 1, fencing = lock.fencing }))
    store:delete("inside")
  end)
end
"#;

/// 32 processes take the lock 200 times in all, and more.
fn processes_count(desk: &Desk, double: Option<&S3Double>, url: &str) -> u64 {
    const TIMES: usize = 7;
    let times = TIMES.to_string();
    let runs: Vec<_> = (0..RACERS)
        .map(|_| {
            let mut run = script(desk, double, COUNT, &[url, &times, "atomic"]);
            run.spawn().expect("the binary runs")
        })
        .collect();
    for run in runs {
        let ended: Ended = run.wait_with_output().expect("it ends").into();
        ended.with(0);
    }
    (RACERS * TIMES) as u64
}

fn count(text: &[u8]) -> u64 {
    let counted: serde_json::Value = serde_json::from_slice(text).expect("JSON");
    counted["count"].as_u64().expect("a number")
}

#[test]
fn of_32_processes_one_at_a_time_is_inside_a_folder() {
    let desk = Desk::new();
    let total = processes_count(&desk, None, &desk.arg("state"));
    let left = desk.tree("state");
    assert_eq!(left.keys().collect::<Vec<_>>(), ["count"]);
    assert_eq!(count(&left["count"]), total);
    assert!(
        !desk.path("state/.kstate").exists(),
        "no empty folder stays"
    );
}

#[test]
fn of_32_processes_one_at_a_time_is_inside_a_bucket() {
    let (desk, double) = (Desk::new(), S3Double::builder().bucket("bucket").start());
    trust(&desk, &double, &["bucket"]);
    let total = processes_count(&desk, Some(&double), "s3://bucket/state");
    assert_eq!(double.keys("bucket"), ["state/count"]);
    assert_eq!(
        count(&double.get("bucket", "state/count").expect("an object")),
        total
    );
}
