//! `kstate.store.register`.

use std::path::Path;

use mlua::{Lua, Value};

use crate::lua::Source;
use crate::lua::api::{Def, Param, Type};
use crate::lua::backend::{BackendObject, Plugin};
use crate::lua::error::ScriptError;
use crate::lua::vm;
use crate::session::permissions::Grants;

pub(super) const REGISTER: Def = Def {
    name: "store.register",
    summary: "Lets this run open stores of a backend that is written in Lua.",
    body: "A backend of the script's runs in the script's own VM, as long as the script does. One \
           from a file runs in a VM of its own, and may ask the hosts and read the variables that \
           the script may. The schemes of kstate's own stores can't be taken.",
    params: &[Param::new(
        "backend",
        Type::Any,
        "what `kstate.backend` returned, or the path of a file that returns it",
    )],
    options: &[],
    returns: &[],
    errors: &[
        ("invalid", "it is no backend, or its scheme is taken"),
        ("not_found", "there is no such file"),
    ],
    permission: "what the backend declares",
    since: "0.1.0",
    example: r#"
local empty = function() end
kstate.store.register(kstate.backend{
  scheme = "nothing",
  stat = empty, read = empty, write = empty, delete = empty,
  list = function() return { items = {} } end,
})
assert(kstate.store.open("nothing://here"):read("a") == nil)
"#,
    make: |def, lua| def.sync(lua, register),
};

fn register(lua: &Lua, backend: Value) -> mlua::Result<()> {
    let vm = vm::of(lua);
    vm.may_work()?;
    let (registry, io) = (vm.host.session.registry(), vm.host.io.clone());
    let object = backend.as_userdata();
    let object = object.and_then(|data| data.borrow::<BackendObject>().ok());
    let plugin = match (object, &backend) {
        (Some(object), _) => Plugin::of_script(lua, &object, io),
        (None, Value::String(path)) => {
            let path = path.to_string_lossy();
            let all = vm.grants.borrow();
            let granted = Grants {
                http: all.http.clone(),
                env: all.env.clone(),
                ..Grants::default()
            };
            Plugin::new(
                Source::read(Path::new(&path))?,
                registry.env().clone(),
                |_| granted,
                io,
            )?
        }
        _ => {
            return Err(ScriptError::invalid(
                "this is neither a backend nor the path of a file with one",
            )
            .hint("kstate.store.register(kstate.backend{ … })")
            .into());
        }
    };
    plugin.register(registry)?;
    Ok(())
}
