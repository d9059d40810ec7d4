//! What a script declares that it needs, beyond its stores.

use std::fmt::Write;

use mlua::{Lua, Table, Value};

use super::error::ScriptError;
use super::flags::only;
use super::vm;
use crate::config::permissions::{EnvName, HostRule, Program};
use crate::session::permissions::{Grants, Origin, Wanted};

const FIELDS: [&str; 3] = ["http", "process", "env"];

/// The `permissions` of a script's table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Hosts that it asks over HTTP.
    pub http: Vec<HostRule>,
    /// Programs that it runs.
    pub process: Vec<Program>,
    /// Secret-looking environment variables that it reads.
    pub env: Vec<EnvName>,
}

impl Manifest {
    /// Reads the field of what a script returned.
    pub(super) fn read(script: &Table) -> Result<Self, ScriptError> {
        let table = match script.get("permissions")? {
            Value::Nil => return Ok(Self::default()),
            Value::Table(table) => table,
            other => {
                return Err(ScriptError::invalid(format!(
                    "'permissions' of a script is a table, not a {}",
                    other.type_name()
                ))
                .hint("permissions = { http = { \"api.example.com\" }, process = { \"kops\" }, env = { \"API_TOKEN\" } }"));
            }
        };
        if !table.get::<Value>("write")?.is_nil() {
            return Err(ScriptError::invalid(
                "'permissions' of a script has no 'write': which stores it writes depends on its arguments",
            )
            .hint("narrow it where it is run: --allow-write STORE, or --read-only"));
        }
        only(&table, &FIELDS, "'permissions' of a script")?;
        Ok(Self {
            http: list(&table, "http", HostRule::parse)?,
            process: list(&table, "process", Program::parse)?,
            env: list(&table, "env", EnvName::parse)?,
        })
    }

    /// What of it was not granted.
    #[must_use]
    pub fn missing(&self, grants: &Grants) -> Self {
        fn keep<T: Clone>(list: &[T], is_missing: impl Fn(&T) -> bool) -> Vec<T> {
            list.iter().filter(|one| is_missing(one)).cloned().collect()
        }
        Self {
            http: keep(&self.http, |host| !grants.allows_http(host)),
            process: keep(&self.process, |program| !grants.allows_process(program)),
            env: keep(&self.env, |name| !grants.allows_env(name.as_str())),
        }
    }

    /// Whether it declares nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds it to what was granted, for a script that we answer for.
    pub fn grant_to(&self, grants: &mut Grants) {
        grants.add_script(&Origin::Manifest, &self.http, &self.process, &self.env);
    }

    /// Each value by the name of its field.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, Vec<String>); 3] {
        fn texts<T: ToString>(list: &[T]) -> Vec<String> {
            list.iter().map(T::to_string).collect()
        }
        [
            ("http", texts(&self.http)),
            ("process", texts(&self.process)),
            ("env", texts(&self.env)),
        ]
    }

    /// The flags that grant it, as a shell takes them.
    #[must_use]
    pub fn flags(&self) -> String {
        let fields = self.fields();
        let flags = fields.iter().flat_map(|(field, values)| {
            let flag = match *field {
                "http" => "allow-http",
                "process" => "allow-process",
                _ => "allow-env",
            };
            values.iter().map(|value| Wanted::new(flag, value).flag())
        });
        flags.collect::<Vec<_>>().join(" ")
    }

    /// The set that grants it, for kstate's configuration.
    #[must_use]
    pub fn set(&self) -> String {
        let mut text = "permissions:\n  NAME:\n".to_owned();
        for (field, values) in self.fields() {
            if !values.is_empty() {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "    allow_{field}: {values:?}");
            }
        }
        text
    }

    /// Lets the script's `main` have what it declares, or says what is missing.
    pub(super) fn settle(&self, lua: &Lua, is_shipped: bool) -> Result<(), ScriptError> {
        let vm = vm::of(lua);
        if is_shipped {
            self.grant_to(&mut vm.grants.borrow_mut());
            return Ok(());
        }
        let missing = self.missing(&vm.grants.borrow());
        if missing.is_empty() {
            return Ok(());
        }
        let fields = missing.fields();
        let needs: Vec<_> = fields
            .iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(field, values)| format!("{field} {}", values.join(", ")))
            .collect();
        Err(ScriptError::denied(format!(
            "the script needs what it wasn't granted: {}",
            needs.join("; ")
        ))
        .hint(format!(
            "give it before the script's name: {}\nor with -P NAME, and in kstate's configuration:\n\n{}",
            missing.flags(),
            missing.set()
        )))
    }
}

fn list<T>(
    table: &Table,
    field: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, ScriptError> {
    let wrong = |what: &str| {
        ScriptError::invalid(format!("'permissions.{field}' of a script: {what}"))
            .hint(format!("write it as {field} = {{ \"…\", \"…\" }}"))
    };
    let items = match table.get(field)? {
        Value::Nil => return Ok(Vec::new()),
        Value::Table(items) => items,
        _ => return Err(wrong("must be a list of texts")),
    };
    if items.pairs::<Value, Value>().count() != items.raw_len() {
        return Err(wrong("must be a list of texts"));
    }
    items
        .sequence_values::<Value>()
        .map(|item| match item? {
            Value::String(text) => parse(&text.to_string_lossy()).map_err(|fault| wrong(&fault)),
            _ => Err(wrong("must be a list of texts")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::config::permissions::{EnvName, HostRule, Program};
    use crate::lua::testing::{Bench, with};
    use crate::lua::{Exit, ScriptError, Source};
    use crate::session::permissions::{Grants, Origin};

    const DECLARES: &str = r#"
        return {
          permissions = {
            http = { "*.example.com" },
            process = { "kops" },
            env = { "HOOK_TOKEN" },
          },
          main = function() print(kstate.env.get("HOOK_TOKEN")) end,
        }
    "#;

    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.set_env([("HOOK_TOKEN", "t")]);
        bench
    }

    fn run(bench: &Bench, source: &Source) -> Result<Exit, ScriptError> {
        with(bench.host(), async |runtime| {
            runtime.run_script(source, &[]).await
        })
    }

    #[test]
    fn what_is_declared_and_not_granted_is_told_before_main_runs() {
        let mut bench = bench();
        let error = bench.run(DECLARES).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), ("permission_denied", 3));
        assert_eq!(
            error.message(),
            "the script needs what it wasn't granted: http *.example.com; process kops; env HOOK_TOKEN"
        );
        let hint = error.hint_text().unwrap();
        assert!(
            hint.contains(
                "--allow-http '*.example.com' --allow-process kops --allow-env HOOK_TOKEN"
            )
        );
        let set = hint.split_once(":\n\n").unwrap().1;
        assert!(
            crate::config::settings::Settings::parse(set, "x".as_ref()).is_ok(),
            "{set}"
        );
        assert_eq!(bench.printed.text(), "");

        let mut grants = Grants::default();
        grants.add_script(
            &Origin::Flag,
            &[HostRule::parse("*.example.com").unwrap()],
            &[Program::parse("kops").unwrap()],
            &[EnvName::parse("HOOK_TOKEN").unwrap()],
        );
        bench.grant(grants);
        bench.run(DECLARES).unwrap();
        assert_eq!(bench.printed.text(), "t\n");
    }

    #[test]
    fn a_script_that_ships_with_kstate_has_what_it_declares_and_a_copy_has_not() {
        let bench = bench();
        run(&bench, &Source::shipped("hook", DECLARES)).unwrap();
        assert_eq!(bench.printed.text(), "t\n");
        assert!(run(&bench, &Source::new("hook", DECLARES)).is_err());
        let top = r#"kstate.env.get("HOOK_TOKEN") return { permissions = { env = { "HOOK_TOKEN" } }, main = print }"#;
        let error = run(&bench, &Source::shipped("hook", top)).unwrap_err();
        assert_eq!(error.kind(), "permission_denied");
    }

    #[test]
    fn a_declaration_is_read_strictly() {
        for (permissions, words) in [
            (
                "{ htpp = {} }",
                "unknown field 'htpp' (did you mean 'http'?)",
            ),
            ("{ write = { 's3://b' } }", "has no 'write'"),
            ("'http'", "is a table, not a string"),
            (
                "{ http = 'x' }",
                "'permissions.http' of a script: must be a list",
            ),
            ("{ http = { a = 'x' } }", "must be a list"),
            ("{ http = { 'https://x' } }", "without a scheme"),
            ("{ process = { './x' } }", "can't be a program"),
            ("{ env = { 1 } }", "must be a list"),
        ] {
            let text = format!("return {{ permissions = {permissions}, main = print }}");
            let error = bench().run(&text).unwrap_err();
            assert!(error.message().contains(words), "{error}");
            assert_eq!(error.kind(), "invalid");
        }
    }

    #[test]
    fn what_a_script_declares_is_known_without_running_it() {
        let declared = |text: &str| {
            let bench = bench();
            let found = with(bench.host(), async |runtime| {
                runtime.declared(&Source::new("test.lua", text)).await
            });
            assert_eq!(bench.printed.text(), "");
            found
        };
        let found = declared(DECLARES).unwrap().unwrap();
        assert_eq!(
            found.flags(),
            "--allow-http '*.example.com' --allow-process kops --allow-env HOOK_TOKEN"
        );
        for top_to_bottom in [
            "print('hello')",
            "local s = kstate.store.open('memfs://x') pcall(s.write, s, 'a', '1') print(1)",
            "while true do kstate.task.sleep('1ms') kstate.store.open('memfs://x'):read('a') end",
            "kstate.exit(7)",
        ] {
            assert_eq!(declared(top_to_bottom).unwrap(), None, "{top_to_bottom}");
        }
        assert!(declared("return {").is_err());
    }
}
