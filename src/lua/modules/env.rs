//! `kstate.env`.

use mlua::Lua;

use crate::config::mask::mask;
use crate::lua::api::{Def, Module, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::vm;

/// `kstate.env`.
pub(super) static MODULE: Module = Module {
    name: "env",
    summary: "Environment variables, those with secrets only when that was granted.",
    functions: &[GET],
    classes: &[],
};

/// A variable with one of these in its name is taken for a secret.
const SECRET: [&str; 7] = [
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "KEY",
    "CREDENTIAL",
    "PRIVATE",
];

/// Whether a variable is taken for a secret by its name.
fn is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    SECRET.iter().any(|part| upper.contains(part))
}

const GET: Def = Def {
    name: "env.get",
    summary: "Returns an environment variable.",
    body: "A variable is taken for a secret when its name has `SECRET`, `TOKEN`, `PASSWORD`, \
           `PASSWD`, `KEY`, `CREDENTIAL` or `PRIVATE` in it, or its value a password as in \
           `https://me:password@host`.",
    params: &[
        Param::new("name", Type::String, "the name"),
        Param::optional(
            "default",
            Type::String,
            "what to return when it is unset or empty",
        ),
    ],
    options: &[],
    returns: &[("string|nil", "the value; `nil` when it is unset or empty")],
    errors: &[(
        "permission_denied",
        "it looks like a secret, and none was granted",
    )],
    permission: "`--allow-env NAME` for secrets",
    since: "0.1.0",
    example: r#"assert(kstate.env.get("NOT_SET", "x") == "x")"#,
    make: |def, lua| def.sync(lua, get),
};

fn get(lua: &Lua, (name, default): (String, Option<String>)) -> mlua::Result<Option<String>> {
    let vm = vm::of(lua);
    let value = vm.host.session.env().get(&name);
    let is_secret = is_secret(&name) || value.is_some_and(|value| mask(value) != value);
    if is_secret && !vm.grants.borrow().allows_env(&name) {
        return Err(ScriptError::denied(format!(
            "the environment variable {name} looks like a secret"
        ))
        .hint(vm.host.profile.granted_by("allow-env", &name))
        .into());
    }
    Ok(value.map(str::to_owned).or(default))
}

#[cfg(test)]
mod tests {
    use crate::config::permissions::EnvName;
    use crate::lua::testing::Bench;
    use crate::session::permissions::{Grants, Origin};

    #[test]
    fn secrets_are_refused_unless_granted() {
        let mut bench = Bench::new();
        bench.set_env([
            ("MY_TOKEN", "t"),
            ("PLAIN", "p"),
            ("EMPTY", ""),
            ("HTTPS_PROXY", "http://me:hunter2@proxy"),
        ]);
        bench
            .run("assert(kstate.env.get('PLAIN') == 'p' and kstate.env.get('EMPTY') == nil)")
            .unwrap();
        let error = bench.run("kstate.env.get('MY_TOKEN')").unwrap_err();
        assert_eq!(error.kind(), "permission_denied");
        assert!(error.hint_text().unwrap().contains("--allow-env MY_TOKEN"));
        assert_eq!(error.exit_code(), 3);
        let error = bench.run("kstate.env.get('HTTPS_PROXY')").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let mut grants = Grants::default();
        grants.add_script(
            &Origin::Flag,
            &[],
            &[],
            &[EnvName::parse("MY_TOKEN").unwrap()],
        );
        bench.grant(grants);
        bench
            .run("assert(kstate.env.get('MY_TOKEN') == 't')")
            .unwrap();
    }
}
