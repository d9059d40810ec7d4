//! Writes, on the side of the VM.

use std::rc::Rc;

use mlua::{MultiValue, Table, Value};

use super::sending::Sending;
use super::serve::{Clock, Served};
use super::values;
use crate::lua::error::ScriptError;
use crate::lua::modules::Incoming;
use crate::store::{Key, Meta, Precondition, Result, WriteOptions};

/// Adds what must hold to the options of a call.
pub(super) fn conditions_to_lua(options: &Table, precondition: &Precondition) -> mlua::Result<()> {
    match precondition {
        Precondition::None => Ok(()),
        Precondition::IfAbsent => options.raw_set("if_absent", true),
        Precondition::IfMatch(tag) => options.raw_set("if_match", tag.0.as_str()),
    }
}

/// What a function that wrote returned: a table, or nothing.
pub(super) fn written(
    vm: &Served,
    name: &'static str,
    results: &MultiValue,
    key: Key,
    size: u64,
) -> std::result::Result<Meta, ScriptError> {
    let meta = match results.front() {
        None | Some(Value::Nil | Value::Boolean(true)) => return Ok(Meta::new(key, size)),
        Some(Value::Table(table)) => values::meta(table, key, Some(size)),
        other => return Err(vm.nonsense(name, &values::shown(other), "a table or nothing")),
    };
    let meta = meta.map_err(|fault| vm.faulty(name, &fault))?;
    if meta.size != size {
        let fault = format!("the size {} for {size} bytes", meta.size);
        return Err(vm.faulty(name, &fault));
    }
    Ok(meta)
}

/// In the VM: a write, and the proof that the backend took all of it. The inner error is one of the
/// bytes, not of the backend.
pub(super) async fn write(
    vm: Rc<Served>,
    full: String,
    key: Key,
    body: Sending,
    options: WriteOptions,
) -> std::result::Result<Result<Meta>, ScriptError> {
    let clock = Rc::new(Clock::new());
    let body = Incoming::new(body, Rc::clone(&clock));
    let how = vm.lua.create_table()?;
    conditions_to_lua(&how, &options.precondition)?;
    how.raw_set("content_type", options.content_type)?;
    if !options.user.is_empty() {
        let user = options
            .user
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        how.raw_set("user", vm.lua.create_table_from(user)?)?;
    }
    let results = vm.call("write", &clock, (full, body.clone(), how)).await;
    let taken = match (&results, body.failure()) {
        (_, Some(failure)) => return Ok(Err(failure)),
        (Ok(_), None) => body.settle().await,
        (Err(_), None) => Ok(None),
    };
    let results = results?;
    let (size, sum) = match taken {
        Ok(Some(taken)) => taken,
        Ok(None) => return Err(vm.faulty("write", "no sign of having read the whole body")),
        Err(failure) => return Ok(Err(failure)),
    };
    let meta = written(&vm, "write", &results, key, size)?;
    if let (Some(told), Some(sum)) = (&meta.checksum, &sum)
        && told.algorithm == sum.algorithm
        && told != sum
    {
        return Err(vm.faulty("write", "another checksum than the bytes have"));
    }
    Ok(Ok(meta))
}
