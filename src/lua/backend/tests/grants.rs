//! What a backend may do, and what a URL may tell it.

use super::{Bench, SHELF};
use crate::config::permissions::EnvName;
use crate::lua::Source;
use crate::session::permissions::{Grants, Origin};
use crate::store::ErrorKind;
use crate::store::registry::{Env, Registry};

const TOKEN: &str = r#"
return kstate.backend{
  scheme = "token",
  capabilities = { read_only = true },
  permissions = { env = { "THE_TOKEN" } },
  stat = function() return { size = 1, tag = "t" } end,
  read = function() return kstate.env.get("THE_TOKEN"), { tag = "t" } end,
  list = function() return { items = {} } end,
}"#;

#[test]
fn what_it_declares_must_be_granted_and_all_else_is_refused() {
    let bench = Bench {
        registry: Registry::new(Env::from_iter([("THE_TOKEN", "t"), ("B_TOKEN", "b")])),
        ..Bench::new()
    };
    bench.add("token.lua", TOKEN);
    let error = bench.try_open("token://x").err().unwrap();
    assert!(error.is_own_refusal());
    assert!(
        error
            .message()
            .contains("needs what it wasn't granted: env THE_TOKEN"),
        "{error}"
    );
    let hint = error.hint_text().unwrap();
    let (_, set) = hint.split_once("\n\n").unwrap();
    let settings = crate::config::settings::Settings::parse(set, "x".as_ref()).unwrap();
    assert_eq!(settings.backends["token"].allow_env.len(), 1);

    let mut granted = Grants::default();
    granted.add_script(
        &Origin::Flag,
        &[],
        &[],
        &[EnvName::parse("THE_TOKEN").unwrap()],
    );
    let text = TOKEN.replace("\"token\"", "\"granted\"");
    let plugin = bench
        .plugin(Source::new("token.lua", text), granted)
        .unwrap();
    plugin.register(&bench.registry).unwrap();
    assert_eq!(bench.read(&bench.open("granted://x"), "a").unwrap(), "t");

    let text = TOKEN
        .replace("\"token\"", "\"greedy\"")
        .replace("get(\"THE", "get(\"B");
    bench.add("greedy.lua", &text.replace("permissions", "-- permissions"));
    let error = bench.read(&bench.open("greedy://x"), "a").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::PermissionDenied { .. }),
        "{error}"
    );
    // What it forgot to declare is told as what to write where.
    let hint = error.hint_text().unwrap();
    assert!(
        hint.contains("permissions = { env = { \"B_TOKEN\" } }"),
        "{hint}"
    );
    assert!(
        hint.contains("under 'backends:'") && hint.contains("allow_env"),
        "{hint}"
    );
}

#[test]
fn it_asks_no_host_but_the_one_in_the_url_and_opens_no_store_but_the_one_it_is_given() {
    let bench = Bench::new();
    bench.add(
        "asks.lua",
        r#"return kstate.backend{
          scheme = "asks",
          wraps = "store",
          options = { { name = "store", type = "store", required = true } },
          permissions = { http = { "$authority" } },
          stat = function(self, key)
            if key == "http" then kstate.http.request("http://other.example.com/") end
            self.options.store:open("memfs://other")
          end,
          read = function(self, key) return self.options.store:read(key) end,
          write = function(self, key, body) self.options.store:write(key, body:read()) end,
          delete = function() end,
          list = function() return { items = {} } end,
        }"#,
    );
    let store = bench.open("asks://one.example.com?store=memfs://inner");
    for (key, words) in [
        ("http", "may not ask this host"),
        ("store", "opens no others"),
    ] {
        let error = bench.stat(&store, key).unwrap_err();
        assert!(
            error.is_own_refusal() && error.message().contains(words),
            "{error}"
        );
        if key == "http" {
            let hint = error.hint_text().unwrap();
            assert!(hint.contains("http = { \"other.example.com\""), "{hint}");
        }
    }
    // It can do no more than what it wraps, and no more than it says.
    assert!(!store.capabilities().if_absent && store.capabilities().ephemeral);
    assert_ne!(store.place().root, bench.open("memfs://inner").place().root);
}

#[test]
fn options_are_checked_when_the_store_is_opened() {
    let bench = Bench::new();
    bench.add_shipped();
    bench.add("shelf.lua", SHELF);
    for (url, words) in [
        (
            "cache://x?store=memfs://a",
            "need the option 'cache': where copies are kept",
        ),
        (
            "cache://x?store=memfs://a&cach=memfs://b",
            "did you mean 'cache'?",
        ),
        (
            "cache://x?store=memfs://a&cache=memfs://b&limit=big",
            "the option 'limit'",
        ),
        (
            "cache://x?store=nope://a&cache=memfs://b",
            "no store of the kind 'nope://'",
        ),
        (
            "shelf://x?region=eu",
            "there is no option 'region' of shelf:// stores",
        ),
        (
            "http://x?token=hunter2",
            "credentials don't belong in a URL",
        ),
    ] {
        let error = bench.try_open(url).err().unwrap_or_else(|| panic!("{url}"));
        assert_eq!(*error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains(words), "{url}: {error}");
        assert!(!error.to_string().contains("hunter2"));
    }
    // A store may wrap another one of the same backend.
    let twice = "cache://x?cache=memfs://b&store=cache://y%3Fstore=memfs://a%26cache=memfs://c";
    bench.write(&bench.open(twice), "k", "1").unwrap();
    assert_eq!(bench.read(&bench.open("memfs://a"), "k").unwrap(), "1");
    let (one, two) = (bench.open("shelf://x"), bench.open("shelf://x/a"));
    bench.write(&one, "a/b", "1").unwrap();
    assert_eq!(bench.read(&two, "b").unwrap(), "1");
    assert!(one.place().contains(&two.place()));
}
