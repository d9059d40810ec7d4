//! `require`: each module once a VM, text only, and only from below the script's folder.
//!
//! Lua's own searches the file system along a path and can't wait; ours may be called for
//! modules that do I/O while they load.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Value};

use super::error::ScriptError;
use super::file_state::FileState;
use super::{source, vm};

/// The modules that the binary itself carries, by name.
pub type Embedded = fn(&str) -> Option<&'static str>;

/// Where the modules of a script come from, and those it has.
#[derive(Clone, Default)]
pub(super) struct Modules(Rc<State>);

#[derive(Default)]
struct State {
    root: RefCell<Option<PathBuf>>,
    embedded: RefCell<Option<Embedded>>,
    loaded: RefCell<HashMap<String, Loading>>,
    /// Which module waits for which to load; a module may wait for several at once.
    waits: RefCell<Vec<(String, String)>>,
    /// The files that were looked for, as they were then.
    files: RefCell<Vec<FileState>>,
}

#[derive(Clone)]
enum Loading {
    Now(Rc<tokio::sync::Notify>),
    Done(Value),
}

/// A module's text, where errors say it is from, and the folder of its relative requires.
struct Found {
    shown: String,
    text: String,
    folder: String,
}

/// The file that requires: its folder with dots for slashes, and its name if it is a module.
#[derive(Clone, Debug, Default)]
pub(super) struct Asker {
    folder: String,
    module: Option<String>,
}

impl Modules {
    /// Modules come from below this folder from now on, and from the binary.
    pub(super) fn set_root(&self, root: Option<PathBuf>) {
        *self.0.root.borrow_mut() = root;
    }

    /// Every module is loaded anew when it is required next.
    pub(super) fn forget(&self) {
        self.0.loaded.borrow_mut().clear();
    }

    /// Modules come from the binary too.
    pub(super) fn set_embedded(&self, embedded: Embedded) {
        *self.0.embedded.borrow_mut() = Some(embedded);
    }

    /// The files that modules came from or would come from, as they were then.
    pub(super) fn files(&self) -> Vec<FileState> {
        self.0.files.borrow().clone()
    }
}

fn modules(lua: &Lua) -> Modules {
    lua.app_data_ref::<Modules>()
        .map(|modules| modules.clone())
        .unwrap_or_default()
}

/// The `require` of one file.
pub(super) fn function(lua: &Lua, asker: Asker) -> mlua::Result<Function> {
    lua.create_async_function(move |lua, name: String| {
        let asker = asker.clone();
        async move { Ok(require(&lua, &asker, &name).await?) }
    })
}

async fn require(lua: &Lua, asker: &Asker, name: &str) -> Result<Value, ScriptError> {
    if name == "kstate" {
        return Ok(vm::of(lua).public.get("kstate")?);
    }
    let name = absolute(&asker.folder, name)?;
    let modules = modules(lua);
    let _wait = Wait::new(&modules, asker, &name)?;
    loop {
        let state = modules.0.loaded.borrow().get(&name).cloned();
        match state {
            Some(Loading::Done(value)) => return Ok(value),
            Some(Loading::Now(done)) => done.notified().await,
            None => break,
        }
    }
    let loading = Guard::new(&modules, &name);
    let value = load(lua, &modules, &name).await?;
    loading.done(value.clone());
    Ok(value)
}

async fn load(lua: &Lua, modules: &Modules, name: &str) -> Result<Value, ScriptError> {
    let found = find(modules, name)?;
    let asker = Asker {
        folder: found.folder,
        module: Some(name.to_owned()),
    };
    let chunk = source::compile(lua, &found.shown, &found.text, asker)?;
    let results: MultiValue = vm::call(lua, chunk, (name, found.shown)).await?;
    Ok(match results.into_iter().next() {
        None | Some(Value::Nil) => Value::Boolean(true),
        Some(value) => value,
    })
}

/// A module's full name: a leading dot means beside the file that asks.
fn absolute(folder: &str, name: &str) -> Result<String, ScriptError> {
    let full = match name.strip_prefix('.') {
        Some(rest) if folder.is_empty() => rest.to_owned(),
        Some(rest) => format!("{folder}.{rest}"),
        None => name.to_owned(),
    };
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
    };
    if full.split('.').all(plain) {
        return Ok(full);
    }
    Err(ScriptError::invalid(format!(
        "'{name}' can't be the name of a module"
    ))
    .hint("write require(\"lib.name\") for lib/name.lua below the script's folder, or require(\".name\") for a file beside this one"))
}

fn find(modules: &Modules, name: &str) -> Result<Found, ScriptError> {
    let path = name.replace('.', "/");
    let parent = name.rsplit_once('.').map_or("", |(parent, _)| parent);
    let candidates = [
        (format!("{path}.lua"), parent),
        (format!("{path}/init.lua"), name),
    ];
    if let Some(root) = modules.0.root.borrow().as_deref() {
        for (candidate, folder) in &candidates {
            let file = FileState::now(root.join(candidate));
            modules.0.files.borrow_mut().push(file);
            if let Some((shown, text)) = read(root, candidate)? {
                let folder = (*folder).to_owned();
                return Ok(Found {
                    shown,
                    text,
                    folder,
                });
            }
        }
    }
    let embedded = *modules.0.embedded.borrow();
    if let Some(text) = embedded.and_then(|find| find(name)) {
        return Ok(Found {
            shown: format!("kstate:{name}"),
            text: text.to_owned(),
            folder: parent.to_owned(),
        });
    }
    let place = modules.0.root.borrow().as_deref().map_or_else(
        || "among the modules that kstate carries".to_owned(),
        |root| format!("at {}", root.join(&candidates[0].0).display()),
    );
    Err(ScriptError::new(
        "not_found",
        format!("there is no module '{name}' {place}"),
    ))
}

/// Reads a module file, unless it is not there. A link that leads out of the root is refused.
#[expect(
    clippy::disallowed_methods,
    reason = "modules are code, not state: they are read here and in `source` alone"
)]
fn read(root: &Path, candidate: &str) -> Result<Option<(String, String)>, ScriptError> {
    let path = root.join(candidate);
    let shown = path.display().to_string();
    let root = if root.as_os_str().is_empty() {
        Path::new(".")
    } else {
        root
    };
    let Ok(real) = path.canonicalize() else {
        return Ok(None);
    };
    let cannot = |error: std::io::Error| {
        ScriptError::new("other", format!("cannot read the module {shown}: {error}"))
    };
    if !real.starts_with(root.canonicalize().map_err(cannot)?) {
        return Err(ScriptError::new(
            "permission_denied",
            format!("the module {shown} leads out of the script's folder"),
        ));
    }
    let bytes = std::fs::read(&real).map_err(cannot)?;
    let text = source::text_of(&shown, bytes)?;
    Ok(Some((shown, text)))
}

/// That a module waits for another. Refused when that other waits for it.
struct Wait<'a> {
    modules: &'a Modules,
    edge: Option<(String, String)>,
}

impl<'a> Wait<'a> {
    fn new(modules: &'a Modules, asker: &Asker, name: &str) -> Result<Self, ScriptError> {
        let edge = asker.module.clone().map(|from| (from, name.to_owned()));
        if let Some(edge) = &edge {
            let mut waits = modules.0.waits.borrow_mut();
            if let Some(mut chain) = chain(&waits, name, &edge.0) {
                chain.push(name);
                return Err(ScriptError::invalid(format!(
                    "modules require each other: {}",
                    chain.join(" → ")
                ))
                .hint("move what both need into a third module"));
            }
            waits.push(edge.clone());
        }
        Ok(Self { modules, edge })
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waits = self.modules.0.waits.borrow_mut();
        if let Some(at) = waits
            .iter()
            .position(|edge| Some(edge) == self.edge.as_ref())
        {
            waits.swap_remove(at);
        }
    }
}

/// The modules through which `from` waits for `to`, both included.
fn chain<'a>(waits: &'a [(String, String)], from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    if from == to {
        return Some(vec![from]);
    }
    waits
        .iter()
        .filter(|(waiting, _)| waiting == from)
        .find_map(|(_, next)| {
            let mut rest = chain(waits, next, to)?;
            rest.insert(0, from);
            Some(rest)
        })
}

/// A module while it loads; when that fails it counts as never asked for.
struct Guard<'a> {
    modules: &'a Modules,
    name: String,
    notify: Rc<tokio::sync::Notify>,
}

impl<'a> Guard<'a> {
    fn new(modules: &'a Modules, name: &str) -> Self {
        let notify = Rc::new(tokio::sync::Notify::new());
        let state = Loading::Now(Rc::clone(&notify));
        modules.0.loaded.borrow_mut().insert(name.to_owned(), state);
        Self {
            modules,
            name: name.to_owned(),
            notify,
        }
    }

    fn done(self, value: Value) {
        let mut loaded = self.modules.0.loaded.borrow_mut();
        loaded.insert(self.name.clone(), Loading::Done(value));
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let mut loaded = self.modules.0.loaded.borrow_mut();
        if let Some(Loading::Now(_)) = loaded.get(&self.name) {
            loaded.remove(&self.name);
        }
        self.notify.notify_waiters();
    }
}
