//! A store in a script's hands, and what all functions do with the arguments that name one.

use std::sync::Arc;

use mlua::{
    AnyUserData, Lua, MetaMethod, MultiValue, UserData, UserDataFields, UserDataMethods, Value,
};

use super::methods::CLASS;
use crate::lua::api;
use crate::lua::error::ScriptError;
use crate::lua::host::Profile;
use crate::lua::vm;
use crate::store::{self, Error, ErrorKind, Key, RESERVED, Store, UrlOptions};

/// A store in a script's hands.
pub(in crate::lua) struct Handle {
    pub(in crate::lua) store: Arc<dyn Store>,
    /// How it was opened, for others that are opened like it.
    pub(in crate::lua) options: UrlOptions,
    /// Whether it is an option of a backend's.
    pub(in crate::lua) is_wrapped: bool,
}

impl UserData for Handle {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        api::class(fields, &CLASS);
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(this.store.url().to_owned())
        });
        methods.add_meta_method(MetaMethod::Eq, |_, this, other: AnyUserData| {
            let other = other.borrow::<Self>()?;
            Ok(this.store.place() == other.store.place())
        });
    }
}

/// The store behind a method's first argument.
pub(in crate::lua::modules) fn of(this: &AnyUserData) -> mlua::Result<Arc<dyn Store>> {
    match this.borrow::<Handle>() {
        Ok(handle) => Ok(Arc::clone(&handle.store)),
        Err(_) => Err(ScriptError::invalid("this is no store").into()),
    }
}

/// A key, or an error that says what was wanted with it.
pub(in crate::lua::modules) fn key_of(
    store: &Arc<dyn Store>,
    operation: &'static str,
    text: &str,
) -> store::Result<Key> {
    Key::parse(text).map_err(|invalid| {
        Error::new(ErrorKind::InvalidKey, operation, invalid.reason).at(store.url(), Some(text))
    })
}

/// A key that a script may change: not one of kstate's own, or it could forge a lock.
pub(in crate::lua::modules) fn own_key_of(
    lua: &Lua,
    store: &Arc<dyn Store>,
    operation: &'static str,
    text: &str,
) -> store::Result<Key> {
    let key = key_of(store, operation, text)?;
    check_reserved(lua, store, operation, Some(&key))?;
    Ok(key)
}

/// Refuses a key, or a whole store, below a folder that is kstate's own. A backend writes there
/// what kstate itself writes to the backend's stores.
pub(super) fn check_reserved(
    lua: &Lua,
    store: &Arc<dyn Store>,
    operation: &'static str,
    key: Option<&Key>,
) -> store::Result<()> {
    let full = store.place().full_key(key.map_or("", Key::as_str));
    let is_backend = vm::of(lua).host.profile == Profile::Backend;
    if is_backend || !full.split('/').any(|name| name == RESERVED) {
        return Ok(());
    }
    let message = format!("what lies below {RESERVED}/ is kstate's own, and no script changes it");
    Err(Error::denied(operation, message)
        .at(store.url(), key.map(Key::as_str))
        .hint("to repair it by hand there are 'kstate rm' and 'kstate cp'"))
}

/// A conflict as `nil, err`; other errors are raised.
pub(super) fn or_conflict<T: mlua::IntoLua>(
    lua: &Lua,
    result: store::Result<T>,
) -> mlua::Result<MultiValue> {
    match result {
        Ok(value) => Ok(MultiValue::from_iter([value.into_lua(lua)?])),
        Err(error) if error.is_conflict() => {
            let error = ScriptError::from(error).to_value(lua)?;
            Ok(MultiValue::from_iter([Value::Nil, error]))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether an error says no more than that an object isn't there. For a backend that is so too
/// when the folder is missing that its first write makes.
pub(super) fn is_missing(this: &AnyUserData, error: &Error) -> bool {
    error.is_missing_key()
        || *error.kind() == ErrorKind::NotFound
            && this
                .borrow::<Handle>()
                .is_ok_and(|handle| handle.is_wrapped && handle.store.capabilities().hierarchical)
}
