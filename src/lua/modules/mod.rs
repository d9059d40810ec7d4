//! What scripts see, one file a module.

mod age;
mod backend;
mod base64;
mod cli;
mod config;
mod core;
mod debug;
mod diff;
mod env;
mod hash;
mod http;
mod json;
mod log;
mod merge;
mod path;
mod process;
mod store;
mod task;
mod test;
mod time;
mod yaml;

use mlua::Lua;

use super::api::{self, Module};
use super::host::Profile;
use super::{data, vm};

pub(super) use core::print;
#[cfg(test)]
pub(super) use http::tests as http_tests;
pub(super) use store::{Handle, Incoming};

/// All modules, in the order of the reference. A new module is a file and a line here.
pub static MODULES: &[&Module] = &[
    &core::MODULE,
    &store::MODULE,
    &config::MODULE,
    &task::MODULE,
    &age::MODULE,
    &base64::MODULE,
    &cli::MODULE,
    &debug::MODULE,
    &diff::MODULE,
    &env::MODULE,
    &hash::MODULE,
    &http::MODULE,
    &json::MODULE,
    &log::MODULE,
    &merge::MODULE,
    &path::MODULE,
    &process::MODULE,
    &test::MODULE,
    &time::MODULE,
    &yaml::MODULE,
];

/// What backends don't have: they answer for the stores that they are given, and do nothing of
/// their own.
pub(super) const NOT_FOR_BACKENDS: [&str; 5] = ["store", "config", "cli", "debug", "process"];

/// Gives a VM its modules.
pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
    data::install(lua)?;
    let kstate = lua.create_table()?;
    let is_backend = vm::of(lua).host.profile == Profile::Backend;
    for module in MODULES {
        if is_backend && NOT_FOR_BACKENDS.contains(&module.name) {
            continue;
        }
        let functions = api::functions(lua, module.functions)?;
        if module.name.is_empty() {
            for pair in functions.pairs::<mlua::LuaString, mlua::Function>() {
                let (name, function) = pair?;
                kstate.raw_set(name, function)?;
            }
        } else {
            let name = format!("kstate.{}", module.name);
            api::strict(lua, &functions, module.name)?;
            kstate.raw_set(module.name, vm::freeze(lua, functions, &name)?)?;
        }
    }
    core::constants(lua, &kstate)?;
    api::strict(lua, &kstate, "kstate")?;
    let public = &vm::of(lua).public;
    public.raw_set("print", kstate.raw_get::<mlua::Function>("print")?)?;
    public.raw_set("kstate", vm::freeze(lua, kstate, "kstate")?)
}
