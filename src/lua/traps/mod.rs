//! The traps of mlua and of Lua that the runtime must not fall into, each a test with its name.

mod errors;
mod escapes;
mod profile;
mod stopping;
mod waiting;
