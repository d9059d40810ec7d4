//! Names in stores at the prompt.

use super::terminal::Person;
use crate::s3_double::S3Double;
use crate::support::Desk;

fn on_bucket(desk: &Desk, double: &S3Double) -> Person {
    let mut command = desk.kstate(&["repl"]);
    command.envs(double.env());
    Person::running(desk, &command)
}

#[test]
fn names_in_a_bucket_are_completed() {
    let double = S3Double::builder().bucket("bucket").start();
    double.put("bucket", "state/c.example.com/config", "x");
    double.put("bucket", "state/c.example.com/cluster-completed.spec", "x");
    double.put("bucket", "state/d.example.com/config", "x");
    let desk = Desk::new();
    let mut person = on_bucket(&desk, &double);
    person.press("s = store.open('s3://bucket/st\t");
    person.sees("s3://bucket/state/");
    person.enter("')");
    person.press("s:read('c\t");
    person.sees("c.example.com/");
    person.press("con\t");
    person.sees("c.example.com/config");
    assert_eq!(person.enter("')")[0], "\"x\"");
}

#[test]
fn a_backend_in_lua_is_not_run_by_tab() {
    let desk = Desk::new();
    desk.write(
        "loud.lua",
        r#"
return kstate.backend{
  scheme = "loud",
  wraps = "store",
  options = { { name = "store", type = "store", required = true } },
  open = function(config)
    config.options.store:write("opened", "x")
    return config.options.store
  end,
  stat = function(store, key) return store:stat(key) end,
  read = function(store, key) return store:read(key) end,
  write = function(store, key, body) store:write(key, body:read()) end,
  delete = function(store, key) store:delete(key) end,
  list = function(store, folder) store:write("listed", "x") return { items = {} } end,
}
"#,
    );
    desk.write("to/a", "x");
    desk.write(
        ".config/kstate/config.yaml",
        format!(
            "backends:\n  loud:\n    file: {}\nstores:\n  kept:\n    url: loud://x\n    store: {}\n",
            desk.arg("loud.lua"),
            desk.arg("to")
        ),
    );
    let mut person = Person::at(&desk, &["repl"]);
    for line in [
        "store.open('kept:a\t",
        "store.open('loud://x/a\t",
        ":store kept:\t",
    ] {
        person.press(line);
        person.press("\u{3}");
        person.prompt();
    }
    assert!(!desk.path("to/opened").exists());
    person.enter("s = store.open('kept')");
    person.press("s:read('a\t");
    person.press("\u{3}");
    person.prompt();
    assert!(!desk.path("to/listed").exists());
    // It is one that would have told.
    person.enter("for _ in s:walk('') do end");
    assert!(desk.path("to/listed").exists());
}
