//! `kstate backend list` and `show`.

use std::fmt::{self, Display};
use std::io::Write;

use serde_json::{Value as Json, json};

use super::register::told;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print_json;
use crate::lua::ScriptError;
use crate::lua::backend::{Definition, Served};
use crate::store::contract::CLAIMS;
use crate::store::registry::{KINDS, Kind};
use crate::store::{Capabilities, Result as StoreResult, StoreUrl, k8s, option_doc};
use crate::text::{did_you_mean, wrapped};

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
    /// What its stores can do, where that shows without one.
    can: Option<Capabilities>,
}

/// An option of its stores.
struct Opt {
    name: String,
    /// What it means, and what it must be.
    doc: String,
}

/// Prints all kinds, one a line.
pub(super) fn list(context: &Context) -> Result<u8, Failure> {
    let all = all(context).map_err(|error| told(&error))?;
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
        let text = match about.from.as_str() {
            BUILT_IN => summary.clone(),
            from => format!("{summary} ({from})"),
        };
        writeln!(out, "{names:width$}  {}", wrapped(&text, width + 2))?;
    }
    Ok(Exit::DONE)
}

/// Prints what is known of one kind, and what its stores can do.
pub(super) fn show(context: &Context, kind: &str) -> Result<u8, Failure> {
    let all = all(context).map_err(|error| told(&error))?;
    let schemes = || all.iter().flat_map(|about| &about.schemes);
    let is_kind = schemes().any(|scheme| scheme == kind);
    let is_store =
        kind.contains(['/', '.', ':']) || context.settings.names(kind) || kind == "state";
    let url = (is_store && !is_kind)
        .then(|| context.url(kind))
        .transpose()?;
    let scheme = url.as_ref().map_or(kind, |url| &url.scheme).to_owned();
    let named = |about: &&About| about.schemes.contains(&scheme);
    let Some(about) = all.iter().find(named) else {
        let near = did_you_mean(&scheme, schemes().map(String::as_str));
        let message = format!("there is no store of the kind '{scheme}'{near}");
        return Err(Failure::usage(message).hint(
            "kstate backend list shows all kinds; a store is a URL, a path or a name of yours",
        ));
    };
    let can = capabilities(context, about, &scheme, url);
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
        Err(error) => {
            let text = format!("What its stores can do shows with one: {error}");
            writeln!(out, "\n{}", wrapped(&text, 0))?;
        }
    }
    Ok(Exit::DONE)
}

/// What the stores of a kind can do, or the one store that was named.
fn capabilities(
    context: &Context,
    about: &About,
    scheme: &str,
    url: Option<StoreUrl>,
) -> StoreResult<Capabilities> {
    if let Some(url) = url {
        return Ok(context.session.open(&url)?.capabilities());
    }
    if let Some(can) = &about.can {
        return Ok(can.clone());
    }
    if scheme == "k8s" {
        return Ok(k8s::capabilities());
    }
    let form = Kind::of(scheme).map_or("", |kind| kind.form).to_lowercase();
    let example = |options| StoreUrl::parse(&format!("{scheme}://{form}{options}"));
    let opened = context.session.open(&example("")?);
    // Some have no endpoint of their own.
    let opened = opened.or_else(|error| {
        let elsewhere = example("?endpoint=https://example.com").map_err(|_| error)?;
        context.session.open(&elsewhere)
    });
    Ok(opened?.capabilities())
}

fn all(context: &Context) -> Result<Vec<About>, ScriptError> {
    let ours = KINDS.iter().map(|kind| Ok(About::of_kind(kind)));
    let others = context.backends.iter();
    let others = others.map(|served| Ok(About::of_plugin(served, served.plugin.definition()?)));
    ours.chain(others).collect()
}

const BUILT_IN: &str = "built in";

impl About {
    fn of_kind(kind: &Kind) -> Self {
        let doc = |name: &&str| Opt {
            name: (*name).to_owned(),
            doc: option_doc(kind.schemes[0], name).to_owned(),
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
            can: None,
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
        let mut environment = definition.environment.clone();
        for name in &definition.env {
            if !environment.iter().any(|(known, _)| known == name.as_str()) {
                environment.push((name.to_string(), String::new()));
            }
        }
        Self {
            summary: definition.summary.clone(),
            from: served.plugin.file().to_owned(),
            form: format!("{}://{}", served.schemes[0], definition.form),
            options: options.collect(),
            environment,
            http: definition.http.clone(),
            beside: definition.beside.clone(),
            can: Some(definition.capabilities.clone()),
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
        writeln!(f, "{}", wrapped(&self.summary, 0))?;
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
            let text = format!("Asks the hosts {}", self.http.join(", "));
            writeln!(f, "\n{}", wrapped(&text, 0))?;
        }
        if !self.beside.is_empty() {
            let beside = self.beside.join(", ");
            let text = format!("No copy to another kind of store takes along: {beside}");
            writeln!(f, "\n{}", wrapped(&text, 0))?;
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
        let doc = wrapped(doc, width + 4);
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
