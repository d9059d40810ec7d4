//! `kstate backend list` and `show`.

use std::fmt::{self, Display};
use std::io::Write;

use serde_json::{Value as Json, json};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print_json;
use crate::lua::backend::{Definition, Served};
use crate::store::contract::CLAIMS;
use crate::store::registry::{KINDS, Kind};

use crate::store::{Capabilities, OPTIONS, Result as StoreResult, StoreUrl};
use crate::text::did_you_mean;

/// A kind of store, whoever wrote it.
struct About {
    schemes: Vec<String>,
    summary: String,
    /// Where its code is.
    from: String,
    /// How its URLs are written.
    form: String,
    options: Vec<Opt>,
    environment: Vec<(String, String)>,
    /// The hosts that it asks.
    http: Vec<String>,
    /// What no copy to another kind takes along.
    beside: Vec<String>,
}

/// An option of its stores.
struct Opt {
    name: String,
    /// What it means, and what it must be.
    doc: String,
}

/// Prints all kinds, one a line.
pub(super) fn list(context: &Context) -> Result<u8, Failure> {
    let all = all(context);
    if context.json {
        let kinds: Vec<_> = all.iter().map(About::to_json).collect();
        print_json(&Json::from(kinds))?;
        return Ok(Exit::DONE);
    }
    let names = |about: &About| about.schemes.join(", ");
    let width = all.iter().map(|about| names(about).len()).max();
    let (width, mut out) = (width.unwrap_or_default(), std::io::stdout().lock());
    for about in &all {
        let (names, summary) = (names(about), &about.summary);
        match about.from.as_str() {
            BUILT_IN => writeln!(out, "{names:width$}  {summary}")?,
            from => writeln!(out, "{names:width$}  {summary} ({from})")?,
        }
    }
    Ok(Exit::DONE)
}

/// Prints what is known of one kind, and what its stores can do.
pub(super) fn show(context: &Context, kind: &str) -> Result<u8, Failure> {
    let url = kind
        .contains("://")
        .then(|| context.url(kind))
        .transpose()?;
    let scheme = url.as_ref().map_or(kind, |url| &url.scheme).to_owned();
    let all = all(context);
    let named = |about: &&About| about.schemes.contains(&scheme);
    let Some(about) = all.iter().find(named) else {
        let schemes = all.iter().flat_map(|about| &about.schemes);
        let near = did_you_mean(&scheme, schemes.map(String::as_str));
        let message = format!("there is no store of the kind '{scheme}'{near}");
        return Err(Failure::usage(message).hint("kstate backend list shows all kinds"));
    };
    let can = capabilities(context, &scheme, url);
    if context.json {
        let mut object = about.to_json();
        match &can {
            Ok(can) => object["capabilities"] = claims_json(can),
            Err(error) => object["unknown_capabilities"] = error.to_string().into(),
        }
        print_json(&object)?;
        return Ok(Exit::DONE);
    }
    let mut out = std::io::stdout().lock();
    write!(out, "{about}")?;
    match can {
        Ok(can) => write!(out, "\nWhat its stores can do:\n{}", Card(&can))?,
        Err(error) => writeln!(out, "\nWhat its stores can do shows with one: {error}")?,
    }
    Ok(Exit::DONE)
}

/// What the stores of a kind can do, or the one store that was named.
fn capabilities(
    context: &Context,
    scheme: &str,
    url: Option<StoreUrl>,
) -> StoreResult<Capabilities> {
    if url.is_none()
        && let Some(served) = by_scheme(context, scheme)
    {
        return Ok(served.plugin.definition().capabilities.clone());
    }
    let form = Kind::of(scheme).map_or("", |kind| kind.form);
    let example = form.replace("[CONTEXT]", "").to_lowercase();
    let example = || StoreUrl::parse(&format!("{scheme}://{example}"));
    let url = url.map_or_else(example, Ok)?;
    Ok(context.session.open(&url)?.capabilities())
}

fn by_scheme<'a>(context: &'a Context, scheme: &str) -> Option<&'a Served> {
    let mut served = context.backends.iter();
    served.find(|served| served.schemes.iter().any(|one| one == scheme))
}

fn all(context: &Context) -> Vec<About> {
    let ours = KINDS.iter().map(About::of_kind);
    let others = context.backends.iter();
    let others = others.map(|served| About::of_plugin(served, served.plugin.definition()));
    ours.chain(others).collect()
}

const BUILT_IN: &str = "built in";

impl About {
    fn of_kind(kind: &Kind) -> Self {
        let doc = |name: &&str| {
            let found = OPTIONS.iter().find(|(known, _)| known == name);
            Opt {
                name: (*name).to_owned(),
                doc: found.map_or("", |(_, doc)| doc).to_owned(),
            }
        };
        let environment = kind.environment.iter();
        Self {
            schemes: kind.schemes.iter().map(|&one| one.to_owned()).collect(),
            summary: kind.summary.to_owned(),
            from: BUILT_IN.to_owned(),
            form: format!("{}://{}", kind.schemes[0], kind.form),
            options: kind.options.iter().map(doc).collect(),
            environment: environment
                .map(|&(name, doc)| (name.to_owned(), doc.to_owned()))
                .collect(),
            http: Vec::new(),
            beside: kind.beside.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn of_plugin(served: &Served, definition: &Definition) -> Self {
        let options = definition.options.iter().map(|option| {
            let kind = option.kind.name();
            let doc = &option.doc;
            Opt {
                name: option.name.clone(),
                doc: match (&option.default, option.required) {
                    (Some(default), _) if !default.is_empty() => {
                        format!("{doc} ({kind}; default: {default})")
                    }
                    (_, true) => format!("{doc} ({kind}; required)"),
                    (_, false) => format!("{doc} ({kind})"),
                },
            }
        });
        let env = definition.env.iter();
        Self {
            summary: definition.summary.clone(),
            from: served.plugin.file().to_owned(),
            form: format!("{}://NAME/PREFIX", served.schemes.join("://, ")),
            options: options.collect(),
            environment: env.map(|name| (name.to_string(), String::new())).collect(),
            http: definition.http.clone(),
            beside: definition.beside.clone(),
            schemes: served.schemes.clone(),
        }
    }

    fn to_json(&self) -> Json {
        let options: Vec<_> = self
            .options
            .iter()
            .map(|Opt { name, doc }| json!({ "name": name, "doc": doc }))
            .collect();
        let environment: Vec<_> = self
            .environment
            .iter()
            .map(|(name, doc)| json!({ "name": name, "doc": doc }))
            .collect();
        json!({
            "schemes": self.schemes,
            "summary": self.summary,
            "from": self.from,
            "url": self.form,
            "options": options,
            "environment": environment,
            "http": self.http,
            "beside": self.beside,
        })
    }
}

impl Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary)?;
        writeln!(f, "\nURL:   {}", self.form)?;
        if self.schemes.len() > 1 {
            writeln!(f, "       also {}://", self.schemes[1..].join("://, "))?;
        }
        writeln!(f, "Code:  {}", self.from)?;
        let options = self
            .options
            .iter()
            .map(|option| (&option.name, &option.doc));
        section(
            f,
            "Options on the URL, or in kstate's configuration",
            options,
        )?;
        let environment = self.environment.iter().map(|(name, doc)| (name, doc));
        section(f, "Environment", environment)?;
        if !self.http.is_empty() {
            writeln!(f, "\nAsks the hosts {}", self.http.join(", "))?;
        }
        if !self.beside.is_empty() {
            let beside = self.beside.join(", ");
            writeln!(
                f,
                "\nNo copy to another kind of store takes along: {beside}"
            )?;
        }
        Ok(())
    }
}

/// A heading, and names with what they mean below it; nothing where there are none.
fn section<'a>(
    f: &mut fmt::Formatter<'_>,
    heading: &str,
    rows: impl Iterator<Item = (&'a String, &'a String)> + Clone,
) -> fmt::Result {
    // A long name has a line of its own.
    const WIDEST: usize = 24;
    if rows.clone().next().is_none() {
        return Ok(());
    }
    let widths = rows.clone().map(|(name, _)| name.len());
    let width = widths.filter(|width| *width <= WIDEST).max();
    let width = width.unwrap_or_default();
    writeln!(f, "\n{heading}:")?;
    for (name, doc) in rows {
        if name.len() > WIDEST {
            writeln!(f, "  {name}\n  {:width$}  {doc}", "")?;
        } else {
            writeln!(f, "{}", format!("  {name:width$}  {doc}").trim_end())?;
        }
    }
    Ok(())
}

/// What a store says of itself, as a table.
struct Card<'a>(&'a Capabilities);

impl Display for Card<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = CLAIMS.iter().map(|claim| claim.name.len()).max();
        let width = width.unwrap_or_default();
        for claim in CLAIMS {
            writeln!(f, "  {:width$}  {}", claim.name, (claim.said)(self.0))?;
        }
        Ok(())
    }
}

fn claims_json(can: &Capabilities) -> Json {
    let pairs = CLAIMS
        .iter()
        .map(|claim| (claim.field.to_owned(), (claim.said)(can).to_json()));
    Json::Object(pairs.collect())
}
