//! The flags that say what a run may do, and what they add up to with the named sets.

use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::print_json;
use crate::config::permissions::{EnvName, HostRule, Program};
use crate::lua::{self, Host, Manifest, NoTerminal, Runtime, Source};
use crate::session::permissions::{Granted, Grants, Origin, Target};
use crate::session::{Mode, Session};
use crate::store;

/// What every command may be kept from.
#[derive(Args, Clone, Default)]
pub(super) struct StoreGrants {
    /// Let nothing be written to any store
    #[arg(long, global = true)]
    read_only: bool,
    /// Let only this store, or folder of one, be written; may be given again
    #[arg(long, global = true, value_name = "STORE")]
    allow_write: Vec<String>,
}

/// What a script may be let do.
#[derive(Args, Clone, Default)]
pub(super) struct ScriptGrants {
    /// Use this set of permissions of kstate's configuration; may be given again
    #[arg(long, short = 'P', value_name = "NAME")]
    permissions: Vec<String>,
    /// Let the script ask this host (HOST, HOST:PORT, *.DOMAIN) over HTTP; may be given again
    #[arg(long, value_name = "HOST", value_parser = HostRule::parse)]
    allow_http: Vec<HostRule>,
    /// Let the script run this program, by its name or path; may be given again
    #[arg(long, value_name = "NAME", value_parser = Program::parse)]
    allow_process: Vec<Program>,
    /// Let the script read this secret-looking environment variable; may be given again
    #[arg(long, value_name = "NAME", value_parser = EnvName::parse)]
    allow_env: Vec<EnvName>,
}

/// What flags and sets add up to. `context` says what the names of stores mean.
pub(super) fn grants(
    context: &Context,
    stores: &StoreGrants,
    script: &ScriptGrants,
) -> Result<Grants, Failure> {
    let mut grants = Grants {
        read_only: stores.read_only.then_some(Origin::Flag),
        ..Grants::default()
    };
    let mut places = Vec::new();
    if !stores.allow_write.is_empty() {
        let named = stores.allow_write.iter();
        places.push((Origin::Flag, named.map(String::as_str).collect()));
    }
    grants.add_script(
        &Origin::Flag,
        &script.allow_http,
        &script.allow_process,
        &script.allow_env,
    );
    for name in &script.permissions {
        let set = context.settings.permission_set(name)?;
        let by = Origin::Set(name.clone());
        if set.read_only && grants.read_only.is_none() {
            grants.read_only = Some(by.clone());
        }
        grants.add_script(&by, &set.allow_http, &set.allow_process, &set.allow_env);
        if let Some(named) = &set.allow_write {
            places.push((by, named.iter().map(String::as_str).collect::<Vec<_>>()));
        }
    }
    for (by, named) in places {
        let written = grants.write.get_or_insert_default();
        for text in named {
            let what = target(context, text)?;
            let by = by.clone();
            written.push(Granted { what, by });
        }
    }
    Ok(grants)
}

fn target(context: &Context, text: &str) -> store::Result<Target> {
    // Opening may prepare clients, which belong to the I/O runtime.
    let _io = context.io().map(tokio::runtime::Handle::enter);
    Ok(Target::of(&*context.session.open(&context.url(text)?)?))
}

/// Prints what a script would be allowed to do and why, and what of its declaration is missing.
pub(super) fn explain(context: &Context, host: Host, source: &Source) -> Result<u8, Failure> {
    let declared = declared(context, host, source)?;
    let mut grants = context.session.grants().clone();
    let manifest = declared.clone().unwrap_or_default();
    if source.is_shipped() {
        manifest.grant_to(&mut grants);
    }
    let missing = manifest.missing(&grants);
    if context.json {
        print_json(&explained(source, &grants, declared.as_ref(), &missing))?;
    } else {
        let mut out = std::io::stdout().lock();
        for [kind, what, why] in rows(&grants) {
            writeln!(out, "{}", format!("{kind:<9}{what:<40} {why}").trim_end())?;
        }
        if declared.is_none() {
            writeln!(
                out,
                "\nThe script declares nothing: it runs from top to bottom."
            )?;
        }
        if !missing.is_empty() {
            writeln!(
                out,
                "\nThe script declares more. To allow it: {}",
                missing.flags()
            )?;
            writeln!(
                out,
                "or -P NAME with this in kstate's configuration:\n\n{}",
                missing.set()
            )?;
        }
    }
    Ok(if missing.is_empty() {
        Exit::DONE
    } else {
        Exit::REFUSED
    })
}

/// What the script declares, from a run that ends where it begins to work.
fn declared(
    context: &Context,
    mut host: Host,
    source: &Source,
) -> Result<Option<Manifest>, Failure> {
    host.session = Arc::new(Session::over(
        Arc::clone(context.session.registry()),
        Mode::DryRun,
    ));
    host.terminal = Arc::new(NoTerminal);
    let found = lua::block_on(async {
        let runtime = Runtime::new(host)?;
        runtime.embed(crate::scripts::module);
        runtime.declared(source).await
    });
    let found = found
        .map_err(|error| Failure::new(Exit::FAILED, format!("cannot start a thread: {error}")))?;
    found.map_err(|error| super::run::told(&error, &error.to_string()))
}

fn rows(grants: &Grants) -> Vec<[String; 3]> {
    fn list<T: Display>(rows: &mut Vec<[String; 3]>, kind: &str, granted: &[Granted<T>]) {
        if granted.is_empty() {
            rows.push([kind.to_owned(), "nothing".to_owned(), "default".to_owned()]);
        }
        for one in granted {
            rows.push([kind.to_owned(), one.what.to_string(), one.by.to_string()]);
        }
    }
    let mut rows = Vec::new();
    let write = "write".to_owned();
    match (&grants.read_only, &grants.write) {
        (Some(by), _) => rows.push([write, "nothing".to_owned(), format!("read-only by {by}")]),
        (None, None) => rows.push([write, "every store".to_owned(), "default".to_owned()]),
        (None, Some(granted)) => list(&mut rows, "write", granted),
    }
    list(&mut rows, "http", &grants.http);
    list(&mut rows, "process", &grants.process);
    list(&mut rows, "env", &grants.env);
    rows
}

fn explained(
    source: &Source,
    grants: &Grants,
    declared: Option<&Manifest>,
    missing: &Manifest,
) -> Value {
    fn list<T: Display>(granted: &[Granted<T>]) -> Value {
        let one = |one: &Granted<T>| json!({ "value": one.what.to_string(), "by": by(&one.by) });
        granted.iter().map(one).collect()
    }
    let fields = |manifest: &Manifest| -> Value {
        let fields = manifest.fields().into_iter();
        fields
            .map(|(field, values)| (field.to_owned(), json!(values)))
            .collect()
    };
    json!({
        "script": source.name,
        "shipped": source.is_shipped(),
        "read_only": grants.read_only.as_ref().map(by),
        "write": grants.write.as_deref().map(list),
        "http": list(&grants.http),
        "process": list(&grants.process),
        "env": list(&grants.env),
        "declared": declared.map(fields),
        "missing": fields(missing),
    })
}

fn by(origin: &Origin) -> Value {
    match origin {
        Origin::Flag => json!({ "flag": true }),
        Origin::Set(name) => json!({ "set": name }),
        Origin::Manifest => json!({ "manifest": true }),
    }
}
