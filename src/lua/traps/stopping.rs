//! A script stops when it must, wherever it is, and closes what it holds.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::lua::testing::{Bench, passes, with};
use crate::lua::{Source, Stop};

#[test]
fn c2_04_dropping_the_run_closes_what_is_open_and_no_pcall_catches_it() {
    let bench = Bench::new();
    let source = Source::new(
        "test.lua",
        r#"
        local guard <close> = setmetatable({}, { __close = function() print("closed") end })
        while true do
          pcall(kstate.task.sleep, "1h")
          print("survived")
        end
        "#,
    );
    with(bench.host(), async |runtime| {
        let run = runtime.run_script(&source, &[]);
        let ended = tokio::time::timeout(Duration::from_millis(20), run).await;
        assert!(ended.is_err());
    });
    assert_eq!(bench.printed.text(), "closed\n");
}

/// Runs an endless script and stops it; how long that took.
fn stop(text: &str) -> (Option<Stop>, Duration) {
    let bench = Bench::new();
    let source = Source::new("test.lua", text);
    let (send, receive) = mpsc::channel();
    let mut host = bench.host();
    host.grace = Duration::from_mins(1);
    with(host, async |runtime| {
        let stopper = runtime.stopper();
        let (printed, started) = (bench.printed.clone(), Instant::now());
        std::thread::spawn(move || {
            // The script says when it is in its loop.
            while !printed.text().contains("go") && started.elapsed() < Duration::from_secs(30) {
                std::thread::yield_now();
            }
            stopper.stop(Stop::Cancelled);
            send.send(Instant::now()).unwrap();
        });
        let error = runtime.run_script(&source, &[]).await.unwrap_err();
        assert_eq!(error.exit_code(), 130);
        (error.stop(), receive.recv().unwrap().elapsed())
    })
}

#[test]
fn c2_05_busy_loop_can_be_cancelled() {
    let (reason, took) = stop("print('go') while true do end");
    assert_eq!(reason, Some(Stop::Cancelled));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn c2_05_busy_loop_in_a_coroutine_can_be_cancelled() {
    let (reason, took) = stop("coroutine.wrap(function() print('go') while true do end end)()");
    assert_eq!(reason, Some(Stop::Cancelled));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn c2_06_a_busy_loop_leaves_other_tasks_their_turn() {
    passes(
        r#"
        local done = false
        kstate.task.join({
          function() while not done do end end,
          function() kstate.task.sleep("5ms") done = true end,
        })
        local ok, e = pcall(kstate.task.timeout, "20ms", function() while true do end end)
        assert(not ok and e:is("timeout"))
        "#,
    );
}

#[test]
fn c2_06_a_busy_loop_where_nothing_can_wait_is_cancelled_too() {
    let (reason, took) = stop(
        r"
        print('go')
        table.sort({ 1, 2, 3, 4 }, function() while true do end end)
        ",
    );
    assert_eq!(reason, Some(Stop::Cancelled));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn c2_07_no_pcall_swallows_a_cancellation() {
    for text in [
        "print('go') while true do pcall(function() while true do end end) end",
        "print('go') while true do xpcall(function() while true do end end, function() end) end",
        "print('go') while true do
           pcall(table.sort, { 2, 1 }, function() while true do end end)
         end",
        "print('go') while true do kstate.try(function() while true do end end) end",
    ] {
        let (reason, took) = stop(text);
        assert_eq!(reason, Some(Stop::Cancelled), "{text}");
        assert!(took < Duration::from_secs(5), "{text} {took:?}");
    }
}

#[test]
fn c2_08_the_watchdog_sees_c_code_that_no_hook_sees() {
    let bench = Bench::new();
    let stuck = Arc::new(Mutex::new(Vec::new()));
    let mut host = bench.host();
    host.timeout = Some(Duration::from_millis(10));
    host.grace = Duration::from_millis(10);
    let seen = Arc::clone(&stuck);
    host.on_stuck = Arc::new(move |reason| seen.lock().unwrap().push(reason));
    // Exponential backtracking within one call of a C function: a second or so.
    let source = Source::new(
        "test.lua",
        "local n = 23 print(('a'):rep(n):find(('a?'):rep(n) .. ('a'):rep(n))) while true do end",
    );
    let error = with(host, async |runtime| {
        runtime.run_script(&source, &[]).await.unwrap_err()
    });
    assert_eq!(error.stop(), Some(Stop::TimedOut));
    assert_eq!(error.exit_code(), 124);
    assert_eq!(*stuck.lock().unwrap(), [Stop::TimedOut]);
}

#[test]
fn c2_09_the_memory_limit_is_an_error_and_the_vm_lives_on() {
    let bench = Bench::new();
    let mut host = bench.host();
    host.memory_limit = 16 << 20;
    let source = Source::new(
        "test.lua",
        r#"
        local ok, e = pcall(string.rep, "x", 1 << 30)
        assert(not ok and tostring(e):find("not enough memory"), tostring(e))
        local t = {}
        for i = 1, 1000 do t[i] = ("x"):rep(1 << 20) end
        "#,
    );
    let error = with(host, async |runtime| {
        runtime.run_script(&source, &[]).await.unwrap_err()
    });
    assert!(error.message().contains("not enough memory"), "{error}");
    assert!(error.hint_text().is_some());
}

#[test]
fn d5_exit_passes_every_handler_and_closes_what_is_open() {
    let bench = Bench::new();
    let exit = bench.run(
        r#"
        local guard <close> = setmetatable({}, { __close = function()
          kstate.task.sleep("1ms")
          print("closed")
        end })
        local leave = function() kstate.exit(7) end
        pcall(xpcall, function()
          kstate.try(function()
            coroutine.wrap(function() kstate.task.map({ 1 }, leave, { on_error = "collect" }) end)()
          end)
        end, function() print("handled") end)
        print("survived")
        "#,
    );
    assert_eq!(exit.unwrap().0, 7);
    assert_eq!(bench.printed.text(), "closed\n");
}

#[test]
fn c2_04_a_hook_leaves_close_variables_where_they_are() {
    for (rest, ends) in [
        ("for _ = 1, 1000000 do end", true),
        ("while true do end", false),
    ] {
        let bench = Bench::new();
        let mut host = bench.host();
        host.timeout = Some(Duration::from_secs(1));
        let code = format!(
            r#"
            local first = 1
            local guard <close> = setmetatable({{}}, {{ __close = function() print("closed", first) end }})
            {rest}
            "#
        );
        let result = with(host, async |runtime| {
            runtime.run_script(&Source::new("t", code), &[]).await
        });
        assert_eq!(result.is_ok(), ends, "{result:?}");
        assert_eq!(bench.printed.text(), "closed\t1\n", "{rest}");
    }
}

#[test]
fn c2_04_a_busy_loop_that_is_dropped_closes_what_is_open() {
    let bench = Bench::new();
    let source = Source::new(
        "test.lua",
        r#"
        local guard <close> = setmetatable({}, { __close = function() print("closed") end })
        while true do end
        "#,
    );
    with(bench.host(), async |runtime| {
        let stopper = runtime.stopper();
        let mut run = std::pin::pin!(runtime.run_script(&source, &[]));
        assert!(futures::poll!(run.as_mut()).is_pending());
        stopper.stop(Stop::Cancelled);
        assert!(run.await.is_err());
    });
    assert_eq!(bench.printed.text(), "closed\n");
}
