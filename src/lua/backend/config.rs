//! What a backend is told of the store that it opens.

use std::sync::Arc;

use mlua::{IntoLua, Lua, Table, Value};

use super::definition::{Definition, Kind};
use crate::lua::modules::Handle;
use crate::store::registry::OpenOther;
use crate::store::{Result, Store, StoreUrl, UrlOptions};
use crate::units;

/// A store's URL with its options, as a backend gets it.
#[derive(Clone)]
pub(super) struct Config {
    url: StoreUrl,
    settings: Vec<(String, Setting)>,
}

#[derive(Clone)]
enum Setting {
    String(String),
    Boolean(bool),
    Integer(i64),
    Number(f64),
    List(Vec<String>),
    Store(Arc<dyn Store>, UrlOptions),
}

impl Config {
    /// The options were checked; the stores among them are opened.
    pub(super) fn new(
        definition: &Definition,
        url: &StoreUrl,
        others: OpenOther<'_>,
    ) -> Result<Self> {
        let mut settings = Vec::new();
        for option in &definition.options {
            let given = url.options.get(&option.name).or(option.default.as_ref());
            let Some(text) = given else {
                continue;
            };
            let setting = match option.kind {
                Kind::String => Setting::String(text.clone()),
                Kind::Boolean => Setting::Boolean(text == "true"),
                Kind::Integer => Setting::Integer(text.parse().unwrap_or_default()),
                Kind::Duration => {
                    Setting::Number(units::duration(text).unwrap_or_default().as_secs_f64())
                }
                Kind::Size => Setting::Integer(
                    i64::try_from(units::size(text).unwrap_or_default()).unwrap_or(i64::MAX),
                ),
                Kind::List => Setting::List(
                    text.split(',')
                        .map(|item| item.trim().to_owned())
                        .filter(|item| !item.is_empty())
                        .collect(),
                ),
                Kind::Store => {
                    let inner = StoreUrl::parse(text)?;
                    Setting::Store(others(&inner)?, inner.options)
                }
            };
            settings.push((option.name.clone(), setting));
        }
        Ok(Self {
            url: StoreUrl {
                path: String::new(),
                ..url.clone()
            },
            settings,
        })
    }

    /// The scheme of the URL, by which errors call the backend.
    pub(super) fn scheme(&self) -> &str {
        &self.url.scheme
    }

    /// The store in an option.
    pub(super) fn store(&self, option: &str) -> Option<&Arc<dyn Store>> {
        self.settings
            .iter()
            .find_map(|(name, setting)| match setting {
                Setting::Store(store, _) if name == option => Some(store),
                _ => None,
            })
    }

    /// `{ scheme, authority, url, options }`.
    pub(super) fn to_lua(&self, lua: &Lua) -> mlua::Result<Table> {
        let options = lua.create_table()?;
        for (name, setting) in &self.settings {
            options.raw_set(name.as_str(), setting.to_lua(lua)?)?;
        }
        let config = lua.create_table()?;
        config.raw_set("scheme", self.url.scheme.as_str())?;
        config.raw_set("authority", self.url.authority.as_str())?;
        config.raw_set("url", self.url.to_string())?;
        config.raw_set("options", options)?;
        Ok(config)
    }
}

impl Setting {
    fn to_lua(&self, lua: &Lua) -> mlua::Result<Value> {
        match self {
            Self::String(text) => text.as_str().into_lua(lua),
            Self::Boolean(flag) => flag.into_lua(lua),
            Self::Integer(number) => number.into_lua(lua),
            Self::Number(number) => number.into_lua(lua),
            Self::List(items) => items.clone().into_lua(lua),
            Self::Store(store, options) => Handle {
                store: Arc::clone(store),
                options: options.clone(),
                is_wrapped: true,
            }
            .into_lua(lua),
        }
    }
}
