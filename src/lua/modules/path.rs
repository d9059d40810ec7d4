//! `kstate.path`.

use mlua::{Lua, Variadic};

use crate::lua::api::{Def, Module, Param, Type};

/// `kstate.path`.
pub(super) static MODULE: Module = Module {
    name: "path",
    summary: "Keys and paths as text; nothing is looked up.",
    functions: &[JOIN, BASE, DIR, EXT, NORMALIZE],
    classes: &[],
};

const PARAMS: &[Param] = &[Param::new("path", Type::String, "a key or path")];

const JOIN: Def = Def {
    name: "path.join",
    summary: "Joins parts with single slashes.",
    body: "Empty parts are left out. A part never starts anew: `join(\"a\", \"/b\")` is `a/b`.",
    params: &[Param::new("...", Type::Rest, "the parts")],
    options: &[],
    returns: &[("string", "the path")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.path.join("s3://bucket/", "", "/a", "b") == "s3://bucket/a/b")"#,
    make: |def, lua| def.sync(lua, |_, parts: Variadic<String>| Ok(join(&parts))),
};

fn join(parts: &[String]) -> String {
    let mut parts = parts.iter().filter(|part| !part.is_empty());
    let mut path = parts.next().cloned().unwrap_or_default();
    for part in parts {
        if !path.ends_with('/') {
            path.push('/');
        }
        path.push_str(part.trim_start_matches('/'));
    }
    path
}

const BASE: Def = Def {
    name: "path.base",
    summary: "Returns the last segment.",
    body: "",
    params: PARAMS,
    options: &[],
    returns: &[("string", "the last segment")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.path.base("a/b.yaml") == "b.yaml")"#,
    make: |def, lua| def.sync(lua, |_, path: String| Ok(split(&path).1.to_owned())),
};

const DIR: Def = Def {
    name: "path.dir",
    summary: "Returns all but the last segment, without a slash at the end.",
    body: "",
    params: PARAMS,
    options: &[],
    returns: &[("string", "the folder; empty when there is none")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.path.dir("a/b/c") == "a/b" and kstate.path.dir("a") == "")"#,
    make: |def, lua| def.sync(lua, |_, path: String| Ok(split(&path).0.to_owned())),
};

/// The folder and the last segment.
fn split(path: &str) -> (&str, &str) {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some(("", base)) => ("/", base),
        Some((dir, base)) => (dir, base),
        None => ("", trimmed),
    }
}

const EXT: Def = Def {
    name: "path.ext",
    summary: "Returns the last segment's extension, with the dot.",
    body: "",
    params: PARAMS,
    options: &[],
    returns: &[("string", "the extension; empty when there is none")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.path.ext("a.b/c.yaml") == ".yaml" and kstate.path.ext(".x") == "")"#,
    make: |def, lua| {
        def.sync(lua, |_, path: String| {
            let base = split(&path).1;
            let dot = base.rfind('.').filter(|dot| *dot > 0);
            Ok(dot.map_or("", |dot| &base[dot..]).to_owned())
        })
    },
};

const NORMALIZE: Def = Def {
    name: "path.normalize",
    summary: "Resolves `.`, `..` and double slashes.",
    body: "What is before `://` is left as it is. A `..` at the top is kept in a relative path \
           and dropped in an absolute one.",
    params: PARAMS,
    options: &[],
    returns: &[("string", "the path")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.path.normalize("a//b/./c/../d/") == "a/b/d")"#,
    make: |def, lua| def.sync(lua, |_: &Lua, path: String| Ok(normalize(&path))),
};

fn normalize(path: &str) -> String {
    if let Some((scheme, rest)) = path.split_once("://") {
        return format!("{scheme}://{}", normalize(rest));
    }
    let absolute = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            ".." if absolute => {}
            other => kept.push(other),
        }
    }
    let joined = kept.join("/");
    match (absolute, joined.as_str()) {
        (true, _) => format!("/{joined}"),
        (false, "") => ".".to_owned(),
        (false, _) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizing_never_leaves_the_root() {
        for (path, normal) in [
            ("/../a", "/a"),
            ("../a", "../a"),
            ("a/..", "."),
            ("a/../../b", "../b"),
            ("s3://b//x/../y", "s3://b/y"),
            ("file:///a/./b", "file:///a/b"),
            ("/", "/"),
        ] {
            assert_eq!(normalize(path), normal, "{path}");
        }
    }
}
