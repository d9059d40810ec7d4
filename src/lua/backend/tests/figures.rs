//! What a backend in Lua costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Bench, SHELF};
use crate::store::Precondition;
use crate::store::{Body, Key, Store, WriteOptions};
use crate::transfer::{self, Evidence};

/// A backend that answers with how much its VM holds, in KiB.
fn with_memory() -> String {
    SHELF.replace(
        "stat = function(self, key)",
        "stat = function(self, key)
           if key == 'memory' then
             collectgarbage() collectgarbage()
             return { size = collectgarbage('count') // 1, tag = 't' }
           end",
    )
}

/// How much memory the process has, in KiB; nothing where that can't be looked up.
#[expect(
    clippy::disallowed_methods,
    reason = "a look at the test's own process"
)]
fn resident() -> u64 {
    let told = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

/// How many KiB the VM and the process hold.
#[derive(Debug)]
struct Held {
    vm: u64,
    process: u64,
}

/// Writes, reads, looks and lists; what is held after half of it, and at the end.
fn churn(operations: usize) -> (Held, Held) {
    let bench = Bench::new();
    bench.add("shelf.lua", &with_memory());
    let store = bench.open("shelf://x");
    let round = |number: usize| {
        let key = format!("k{}", number % 50);
        bench.write(&store, &key, "some text").unwrap();
        bench.read(&store, &key).unwrap();
        bench.stat(&store, "absent").unwrap_err();
        if number.is_multiple_of(50) {
            assert!(bench.list(&store).1.is_none());
        }
    };
    let held = || Held {
        vm: bench.stat(&store, "memory").unwrap().size,
        process: resident(),
    };
    (0..operations / 6).for_each(round);
    let before = held();
    (0..operations / 6).for_each(round);
    (before, held())
}

#[test]
fn operations_leave_nothing_behind_in_the_vm() {
    let (before, after) = churn(3000);
    assert!(after.vm <= before.vm + 16, "{before:?}, then {after:?}");
}

#[test]
#[ignore = "takes half a minute, and other tests take memory too"]
fn a_hundred_thousand_operations_leave_nothing_behind() {
    let (before, after) = churn(100_000);
    println!("{before:?}, then {after:?}");
    assert!(after.vm <= before.vm + 16, "{before:?}, then {after:?}");
    // Sixteen bytes each would show.
    assert!(
        after.process <= before.process + 800,
        "{before:?}, then {after:?}"
    );
}

/// How long a copy of many small objects takes, 16 at a time.
fn copy(bench: &Bench, from: &Arc<dyn Store>, to: &Arc<dyn Store>, objects: usize) -> Duration {
    let keys = (0..objects).map(|number| Key::parse(&format!("c/{number:05}")).unwrap());
    let keys: Vec<_> = keys.collect();
    bench.io.block_on(async {
        for key in &keys {
            let body = Body::from(vec![b'x'; 1000]);
            from.write(key, body, WriteOptions::default())
                .await
                .unwrap();
        }
        let started = Instant::now();
        let copies = keys.iter().map(|key| async {
            let meta = from.stat(key).await.unwrap();
            let (anything, evidence) = (Precondition::None, Evidence::default());
            transfer::copy_object(from, &meta, to, key, &anything, evidence)
                .await
                .unwrap();
        });
        futures::StreamExt::collect::<Vec<()>>(futures::StreamExt::buffer_unordered(
            futures::stream::iter(copies),
            16,
        ))
        .await;
        started.elapsed()
    })
}

/// A backend that hands everything on to a store in memory.
const THROUGH: &str = r#"
return kstate.backend{
  scheme = "through",
  wraps = "store",
  options = { { name = "store", type = "store", required = true } },
  capabilities = { if_absent = true, if_match = true, checksum = "md5" },
  open = function(config) return config.options.store end,
  stat = function(store, key) return store:stat(key) end,
  read = function(store, key) return store:read(key), store:stat(key) end,
  write = function(store, key, body, options) return store:write(key, body:read(), options) end,
  delete = function(store, key) store:delete(key) end,
  list = function(store, folder) return store:walk(folder) end,
}"#;

#[test]
#[ignore = "a figure: run it in a release build"]
fn a_copy_through_lua_takes_little_more_than_a_native_one() {
    const OBJECTS: usize = 10_000;
    let bench = Bench::new();
    bench.add("through.lua", THROUGH);
    let native = copy(
        &bench,
        &bench.open("memfs://a"),
        &bench.open("memfs://b"),
        OBJECTS,
    );
    let through = |name: &str| bench.open(&format!("through://{name}?store=memfs://{name}"));
    let lua = copy(&bench, &through("c"), &bench.open("memfs://d"), OBJECTS);
    let both = copy(&bench, &through("e"), &through("f"), OBJECTS);
    let more = |time: Duration| time.saturating_sub(native).as_micros() / OBJECTS as u128;
    println!(
        "native {native:?}; {} µs an object more from Lua, {} µs from Lua to Lua",
        more(lua),
        more(both)
    );
    assert!(more(lua) < 60);
}
