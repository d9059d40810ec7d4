//! What a prompt needs of a VM: globals of its own, and pieces of Lua that run in them.

use mlua::{AnyUserData, Function, IntoLuaMulti, Lua, MultiValue, Table, Value};

use super::error::ScriptError;
use super::inspect::{self, Limits};
use super::modules::{Handle, MODULES};
use super::require::Modules;
use super::script::{self, Exit};
use super::source::Source;
use super::{Runtime, vm};
use crate::store::StoreUrl;
use crate::text::count;

/// `load` for a prompt: what it makes has the prompt's globals.
const LOAD: &str = r##"
local load, select, globals = ...
return function(chunk, name, mode, ...)
  if select("#", ...) > 0 then
    return load(chunk, name, mode, ...)
  end
  return load(chunk, name, mode, globals)
end
"##;

impl Runtime {
    /// The runtime of a VM that somebody made.
    pub(super) fn of(lua: &Lua) -> Self {
        Self {
            lua: lua.clone(),
            stopper: vm::of(lua).stopper.clone(),
            modules: lua
                .app_data_ref::<Modules>()
                .map(|modules| modules.clone())
                .unwrap_or_default(),
        }
    }

    /// New globals for a prompt, over those of all scripts: what is set there is seen by no
    /// module. They have kstate's modules by their own names too.
    ///
    /// # Errors
    /// Only when memory is out.
    pub fn globals(&self) -> Result<Table, ScriptError> {
        let public = &vm::of(&self.lua).public;
        let globals = self.lua.create_table()?;
        let kstate: Table = public.raw_get("kstate")?;
        for module in MODULES.iter().filter(|module| !module.name.is_empty()) {
            globals.raw_set(module.name, kstate.get::<Value>(module.name)?)?;
        }
        let load: Function = self.lua.load(LOAD).set_name("=kstate:prelude").call((
            public.raw_get::<Function>("load")?,
            public.raw_get::<Function>("select")?,
            &globals,
        ))?;
        globals.raw_set("load", load)?;
        globals.raw_set("_G", &globals)?;
        let behind = self.lua.create_table()?;
        behind.raw_set("__index", public)?;
        behind.raw_set("__metatable", false)?;
        globals.set_metatable(Some(behind))?;
        Ok(globals)
    }

    /// Loads every module anew when it is required next.
    pub fn forget_modules(&self) {
        self.modules.forget();
    }

    /// Makes a text a function with these globals, which it may change.
    ///
    /// # Errors
    /// [`mlua::Error::SyntaxError`], which says whether the text is the beginning of a longer one.
    pub fn load(&self, name: &str, text: &str, globals: &Table) -> mlua::Result<Function> {
        vm::load(&self.lua, name, text, globals.clone())
    }

    /// Keeps the text of a chunk, for errors that show its lines.
    pub fn remember(&self, name: &str, text: &str) {
        let vm = vm::of(&self.lua);
        let mut sources = vm.sources.borrow_mut();
        sources.insert(name.to_owned(), text.to_owned());
    }

    /// Calls a function until it returns or is stopped.
    ///
    /// # Errors
    /// What it raised, or why it was stopped.
    pub async fn call(
        &self,
        function: Function,
        arguments: impl IntoLuaMulti,
    ) -> Result<MultiValue, ScriptError> {
        self.stoppable(vm::call(&self.lua, function, arguments))
            .await
    }

    /// Prepares for what a script does when it begins: its `arg`, and the modules beside it.
    ///
    /// # Errors
    /// Only when memory is out.
    pub fn enter(&self, source: &Source, args: &[String]) -> Result<(), ScriptError> {
        self.modules.set_root(source.folder.clone());
        Ok(script::set_arg(&self.lua, source, args)?)
    }

    /// Goes on with what a script returned: its `main`, if it has one. What a shipped script may
    /// do is over with it.
    ///
    /// # Errors
    /// As [`run_script`](Self::run_script).
    pub async fn finish_script(
        &self,
        source: &Source,
        args: &[String],
        returned: &MultiValue,
    ) -> Result<Exit, ScriptError> {
        let vm = vm::of(&self.lua);
        let grants = vm.grants.borrow().clone();
        let ended = self.stoppable(script::finish(&self.lua, source, returned.front(), args));
        let ended = ended.await;
        *vm.grants.borrow_mut() = grants;
        ended
    }

    /// The value that Lua sees for an error.
    pub fn error_value(&self, error: &ScriptError) -> Value {
        error.to_value(&self.lua).unwrap_or_default()
    }

    /// A value as JSON.
    ///
    /// # Errors
    /// [`kstate.json.encode`](super::MODULES)'s.
    pub fn json(&self, value: Value) -> Result<String, ScriptError> {
        let kstate: Table = vm::of(&self.lua).public.raw_get("kstate")?;
        let encode: Function = kstate.get::<Table>("json")?.get("encode")?;
        Ok(encode.call(value)?)
    }

    /// A text as a value of this VM; `None` when memory is out.
    pub fn text(&self, text: &str) -> Option<mlua::LuaString> {
        self.lua.create_string(text).ok()
    }

    /// The value of a store; the one at a name.
    ///
    /// # Errors
    /// Those of `kstate.store.open`.
    pub fn open_store(&self, name: &str) -> Result<Value, ScriptError> {
        let kstate: Table = vm::of(&self.lua).public.raw_get("kstate")?;
        let open: Function = kstate.get::<Table>("store")?.get("open")?;
        Ok(open.call(name)?)
    }

    /// Where a store of the script's is, and how it was opened.
    pub fn url_of(&self, store: &AnyUserData) -> Option<StoreUrl> {
        let handle = store.borrow::<Handle>().ok()?;
        let mut url = StoreUrl::parse(handle.store.url()).ok()?;
        url.options.clone_from(&handle.options);
        Some(url)
    }

    /// What the process lends to the VM.
    #[must_use]
    pub fn host(&self) -> super::Host {
        vm::of(&self.lua).host.clone()
    }

    /// Values as the prompt shows them: bounded all together, and without secrets.
    pub fn show<'a>(&self, values: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
        inspect::within(values, Limits::PROMPT)
    }

    /// What kind of value it is.
    pub fn describe(&self, value: Option<&Value>) -> String {
        match value {
            None => "nothing".to_owned(),
            Some(Value::Nil) => "nil".to_owned(),
            Some(Value::Table(table)) => {
                let entries = table.pairs::<Value, Value>().count() as u64;
                format!("table with {}", count(entries, "field"))
            }
            Some(Value::String(text)) => {
                format!("string of {}", count(text.as_bytes().len() as u64, "byte"))
            }
            Some(value) => super::api::type_of(value),
        }
    }

    /// Prints values as `print` does.
    ///
    /// # Errors
    /// Those of writing.
    pub fn print(&self, values: &MultiValue) -> Result<(), ScriptError> {
        Ok(super::modules::print(&self.lua, values)?)
    }

    /// A function of the host with a bug.
    #[cfg(test)]
    pub(crate) fn panicking(&self) -> mlua::Result<Function> {
        let panic = |_: &Lua, ()| -> mlua::Result<()> { panic!("a bug") };
        self.lua.create_function(panic)
    }
}
