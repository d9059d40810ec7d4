//! What is edited: where it lies, and what to call it.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use super::Edit;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::config::entry::Entry;
use crate::config::layout::classify;
use crate::store::{self, ErrorKind, Key, ListOptions, Store};
use crate::text::{did_you_mean, visible};

/// How many names are looked at for one that is near to a mistyped one.
const NAMES: usize = 1000;

/// How many names are told.
const TOLD: usize = 10;

/// An object that is edited.
pub(super) struct Target {
    pub(super) store: Arc<dyn Store>,
    pub(super) key: Key,
    pub(super) what: What,
}

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Cluster(String),
    Group { cluster: String, name: String },
    File,
}

impl What {
    /// What the command line names.
    fn of(edit: &Edit, context: &Context) -> Result<Self, Failure> {
        let env = || context.env().get("KOPS_CLUSTER_NAME").map(str::to_owned);
        let what = match edit.what.as_str() {
            "cluster" | "clusters" => {
                let name = match (&edit.name, &edit.cluster) {
                    (Some(one), Some(other)) if one != other => {
                        let message = format!("which cluster is it: '{one}' or '{other}'?");
                        return Err(Failure::usage(message));
                    }
                    (name, flag) => name.clone().or_else(|| flag.clone()).or_else(env),
                };
                Self::Cluster(name.ok_or_else(|| {
                    Failure::usage("no cluster named").hint("kstate edit cluster NAME")
                })?)
            }
            "instancegroup" | "instancegroups" | "ig" | "igs" => {
                let usage = |message: &str| {
                    Failure::usage(message).hint("kstate edit instancegroup NAME --cluster CLUSTER")
                };
                Self::Group {
                    name: edit
                        .name
                        .clone()
                        .ok_or_else(|| usage("no instance group named"))?,
                    cluster: edit
                        .cluster
                        .clone()
                        .or_else(env)
                        .ok_or_else(|| usage("no cluster named"))?,
                }
            }
            _ if edit.name.is_some() || edit.cluster.is_some() => {
                let kind = did_you_mean(&edit.what, ["cluster", "instancegroup", "ig"]);
                let message = format!("'{}' is no kind of object{kind}", edit.what);
                return Err(Failure::usage(message)
                    .hint("there are `cluster NAME`, `instancegroup NAME`, or one FILE alone"));
            }
            _ => Self::File,
        };
        let is_name = |name: &String| !name.contains('/') && Key::parse(name).is_ok();
        let names = match &what {
            Self::Cluster(name) => vec![name],
            Self::Group { cluster, name } => vec![cluster, name],
            Self::File => Vec::new(),
        };
        match names.into_iter().find(|name| !is_name(name)) {
            Some(name) => Err(Failure::usage(format!("'{}' is no name", visible(name)))),
            None => Ok(what),
        }
    }
}

impl Target {
    /// The object that the command line names.
    pub(super) fn find(edit: &Edit, context: &Context) -> Result<Self, Failure> {
        let what = What::of(edit, context)?;
        let below = match &what {
            What::Cluster(name) => format!("{name}/config"),
            What::Group { cluster, name } => format!("{cluster}/instancegroup/{name}"),
            What::File => {
                let (store, key) = context.object(&edit.what)?;
                return Ok(Self { store, key, what });
            }
        };
        let key = Key::parse(&below).map_err(store::Error::from)?;
        let store = context.store(None)?;
        Ok(Self { store, key, what })
    }

    /// Its URL.
    pub(super) fn url(&self) -> String {
        self.url_of(&self.key)
    }

    /// The URL of another object in the same store.
    pub(super) fn url_of(&self, key: &Key) -> String {
        format!("{}/{key}", self.store.url().trim_end_matches('/'))
    }

    /// The name of the file that a person edits: one by which editors know what is in it.
    pub(super) fn file_name(&self) -> String {
        let name = match &self.what {
            What::Cluster(name) => name.clone(),
            What::Group { cluster, name } => format!("{name}.{cluster}"),
            What::File => self.key.name().to_owned(),
        };
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || ".-_".contains(c) {
                c
            } else {
                '_'
            }
        };
        let name: String = name
            .trim_start_matches('.')
            .chars()
            .map(plain)
            .take(120)
            .collect();
        match name.rsplit_once('.') {
            Some((_, "yaml" | "yml" | "json" | "sh")) => name,
            _ => name + ".yaml",
        }
    }

    /// Whether it holds keys, tokens or credentials. Any part of its way may be the cluster.
    pub(super) fn is_secret(&self) -> bool {
        let place = self.url();
        let mut parts = place.match_indices('/');
        self.what == What::File && parts.any(|(at, _)| classify(&place[at + 1..]).secret)
    }

    /// Reads it.
    pub(super) async fn load(&self) -> Result<Entry, Failure> {
        let entry = match Entry::load(&*self.store, &self.key).await {
            // What it is not, no exit code of ours for bad usage tells.
            Err(error) if *error.kind() == ErrorKind::Invalid => {
                return Err(Failure::refused(error.to_string()));
            }
            entry => entry?,
        };
        if entry.tag.is_none() {
            return Err(self.missing().await?);
        }
        if entry.text.contains('\0') {
            return Err(Failure::refused(format!("{} is no text", self.url())));
        }
        Ok(entry)
    }

    /// Says that it isn't there, and what is.
    async fn missing(&self) -> Result<Failure, Failure> {
        let store = self.store.url();
        let (message, names) = match &self.what {
            What::Cluster(name) => {
                let names = self.names("", true).await?;
                (self.no_cluster(name, &names), names)
            }
            What::Group { cluster, name } => {
                let groups = self
                    .names(&format!("{cluster}/instancegroup"), false)
                    .await?;
                if groups.is_empty() {
                    let names = self.names("", true).await?;
                    (self.no_cluster(cluster, &names), names)
                } else {
                    let near = did_you_mean(name, groups.iter().map(String::as_str));
                    let message =
                        format!("{cluster} in {store} has no instance group '{name}'{near}");
                    (message, groups)
                }
            }
            What::File => {
                // Where there is no folder either there is no name in it.
                let names = self.names("", false).await.unwrap_or_default();
                let near = did_you_mean(self.key.name(), names.iter().map(String::as_str));
                let url = self.url();
                let failure = Failure::new(Exit::FAILED, format!("there is no {url}{near}"));
                let failure =
                    failure.hint(format!("kstate cp - {url} makes one of standard input"));
                if url.contains("://") {
                    return Ok(failure);
                }
                return Ok(failure.and_hint("state:PATH is a file in the state store"));
            }
        };
        let told = names
            .iter()
            .take(TOLD)
            .map(|name| visible(name).into_owned());
        let mut told: Vec<String> = told.collect();
        if names.len() > TOLD {
            told.push("…".to_owned());
        }
        let hint = if told.is_empty() {
            "there is nothing in the store".to_owned()
        } else {
            format!("there are {}", told.join(", "))
        };
        Ok(Failure::new(Exit::FAILED, message).hint(hint))
    }

    fn no_cluster(&self, name: &str, names: &[String]) -> String {
        let near = did_you_mean(name, names.iter().map(String::as_str));
        format!("there is no cluster '{name}' in {}{near}", self.store.url())
    }

    /// The names right below a folder: of folders, or of objects.
    async fn names(&self, below: &str, folders: bool) -> Result<Vec<String>, Failure> {
        let options = ListOptions {
            one_level: true,
            ..ListOptions::recursive(below)
        };
        let entries = self.store.list(options).try_filter_map(async |entry| {
            let name = match (&entry, folders) {
                (store::Entry::Prefix(name), true) => name.trim_end_matches('/'),
                (store::Entry::Object(meta), false) => meta.key.name(),
                _ => return Ok(None),
            };
            Ok((!name.starts_with('.')).then(|| name.to_owned()))
        });
        Ok(entries.take(NAMES).try_collect().await?)
    }
}
