//! The one definition of each Lua function, beside its implementation. From it come the
//! function itself, the checks of its arguments, the editor stubs and the reference.

use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, MultiValue, Table, Value};

use super::error::ScriptError;
use super::units;
use crate::text::did_you_mean;

/// A module: a table in `kstate`, or `kstate` itself.
pub struct Module {
    /// The field of `kstate`; empty for `kstate` itself.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Its functions.
    pub functions: &'static [Def],
    /// The objects that its functions return.
    pub classes: &'static [&'static Class],
}

/// An object with methods.
pub struct Class {
    /// The name, in `CamelCase`; it is seen in messages and stubs only.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Its fields, for those that are plain tables or can be read like one.
    pub fields: &'static [Param],
    /// Its methods.
    pub methods: &'static [Def],
    /// How a stub declares that the object can be called (an iterator); empty when it can't.
    pub call: &'static str,
}

/// A function or method.
pub struct Def {
    /// The name with its module, as in `json.decode`, or with its class, as in `Store:read`.
    pub name: &'static str,
    /// What it does, in one sentence that begins with a verb in the present tense.
    pub summary: &'static str,
    /// More about it, in Markdown; may be empty.
    pub body: &'static str,
    /// What it takes.
    pub params: &'static [Param],
    /// The fields of the table that comes last; none means that there is no such table.
    pub options: &'static [Param],
    /// What it returns: type and meaning.
    pub returns: &'static [(&'static str, &'static str)],
    /// Which errors it raises: kind and reason.
    pub errors: &'static [(&'static str, &'static str)],
    /// What a script needs a permission for; empty when none.
    pub permission: &'static str,
    /// The version that it came with.
    pub since: &'static str,
    /// A script that shows it, and that runs.
    pub example: &'static str,
    /// Makes the function in a VM.
    pub make: fn(&'static Def, &Lua) -> mlua::Result<Function>,
}

/// A parameter or option.
pub struct Param {
    /// The name.
    pub name: &'static str,
    /// The type.
    pub kind: Type,
    /// Whether it may be left out.
    pub optional: bool,
    /// What it means, as a phrase.
    pub doc: &'static str,
}

/// What a parameter may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Anything, `nil` included.
    Any,
    /// As many values as there are.
    Rest,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// Bytes.
    String,
    /// A table.
    Table,
    /// A function.
    Function,
    /// The options table, where it isn't the last argument. It can be left out.
    Options,
    /// `"30s"`, or a number of seconds.
    Duration,
    /// `"8MiB"`, or a number of bytes.
    Size,
    /// An object of a class.
    Object(&'static str),
}

impl Param {
    /// A parameter that must be there.
    #[must_use]
    pub const fn new(name: &'static str, kind: Type, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            optional: false,
            doc,
        }
    }

    /// A parameter that may be left out.
    #[must_use]
    pub const fn optional(name: &'static str, kind: Type, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            optional: true,
            doc,
        }
    }
}

impl Type {
    /// The type in the words of the editor's annotations.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Any | Self::Rest => "any".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Integer => "integer".to_owned(),
            Self::Number => "number".to_owned(),
            Self::String => "string".to_owned(),
            Self::Table | Self::Options => "table".to_owned(),
            Self::Function => "function".to_owned(),
            Self::Duration => "string|number".to_owned(),
            Self::Size => "string|integer".to_owned(),
            Self::Object(class) => format!("kstate.{class}"),
        }
    }

    /// What is wrong with a value; `None` when it is of the type.
    fn fault(self, value: &Value) -> Option<String> {
        let fits = match self {
            Self::Any | Self::Rest => true,
            Self::Boolean => value.is_boolean(),
            Self::Integer => as_integer(value).is_some(),
            Self::Number => value.is_number() || value.is_integer(),
            Self::String => value.is_string(),
            Self::Table | Self::Options => value.is_table(),
            Self::Function => value.is_function(),
            Self::Object(class) => is_of(value, class),
            Self::Duration => return to_duration(value).err(),
            Self::Size => return to_size(value).err(),
        };
        (!fits).then(|| format!("{} expected, got {}", self.name(), type_of(value)))
    }
}

/// Whether a value is an object of a class.
fn is_of(value: &Value, class: &str) -> bool {
    value
        .as_userdata()
        .and_then(|data| data.type_name().ok())
        .is_some_and(|name| name == class)
}

/// A whole number, also one that Lua computed as a float.
fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(integer) => Some(*integer),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole and near"
        )]
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Some(*number as i64)
        }
        _ => None,
    }
}

/// What kind of value it is, in the words of complaints.
pub(super) fn type_of(value: &Value) -> String {
    match value {
        Value::Nil => "no value".to_owned(),
        Value::Number(number) => format!("the number {number}"),
        Value::Error(_) => "an error".to_owned(),
        value if super::data::is_null(value) => "kstate.null".to_owned(),
        Value::UserData(data) => match data.type_name() {
            Ok(name) => format!("kstate.{}", name.to_string_lossy()),
            Err(_) => "userdata".to_owned(),
        },
        other => other.type_name().to_owned(),
    }
}

fn to_duration(value: &Value) -> Result<std::time::Duration, String> {
    let seconds = match value {
        Value::String(text) => return units::duration(&text.to_string_lossy()),
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds beyond 2^53 are no duration"
        )]
        Value::Integer(seconds) => *seconds as f64,
        Value::Number(seconds) => *seconds,
        other => {
            let found = type_of(other);
            return Err(format!("a duration like \"30s\" expected, got {found}"));
        }
    };
    units::seconds_to_duration(seconds).ok_or_else(|| format!("{seconds} seconds is no duration"))
}

fn to_size(value: &Value) -> Result<u64, String> {
    match value {
        Value::String(text) => units::size(&text.to_string_lossy()),
        other => as_integer(other)
            .and_then(|bytes| u64::try_from(bytes).ok())
            .ok_or_else(|| format!("a size like \"8MiB\" expected, got {}", type_of(other))),
    }
}

/// The options table of a call, checked.
#[derive(Default)]
pub struct Options(Option<Table>);

impl Options {
    /// An option as it is; `nil` when it was left out.
    pub fn value(&self, name: &str) -> mlua::Result<Value> {
        self.0
            .as_ref()
            .map_or(Ok(Value::Nil), |table| table.raw_get(name))
    }

    /// An option of a type that Lua knows.
    pub fn get<T: mlua::FromLua>(&self, name: &str) -> mlua::Result<Option<T>> {
        self.0
            .as_ref()
            .map_or(Ok(None), |table| table.raw_get(name))
    }

    /// A whole number that is at least 1.
    pub fn count(&self, name: &str) -> mlua::Result<Option<usize>> {
        let value = self.value(name)?;
        if value.is_nil() {
            return Ok(None);
        }
        match as_integer(&value).and_then(|count| usize::try_from(count).ok()) {
            Some(count) if count > 0 => Ok(Some(count)),
            _ => Err(ScriptError::invalid(format!("option '{name}' must be at least 1")).into()),
        }
    }

    /// A size in bytes.
    pub fn size(&self, name: &str) -> mlua::Result<Option<u64>> {
        let value = self.value(name)?;
        if value.is_nil() {
            return Ok(None);
        }
        to_size(&value)
            .map(Some)
            .map_err(|wrong| ScriptError::invalid(format!("option '{name}': {wrong}")).into())
    }

    /// A duration.
    pub fn duration(&self, name: &str) -> mlua::Result<Option<std::time::Duration>> {
        let value = self.value(name)?;
        if value.is_nil() {
            return Ok(None);
        }
        to_duration(&value)
            .map(Some)
            .map_err(|wrong| ScriptError::invalid(format!("option '{name}': {wrong}")).into())
    }
}

impl mlua::FromLua for Options {
    fn from_lua(value: Value, _: &Lua) -> mlua::Result<Self> {
        Ok(Self(value.as_table().cloned()))
    }
}

/// A duration among the positional arguments.
pub struct Seconds(pub std::time::Duration);

impl mlua::FromLua for Seconds {
    fn from_lua(value: Value, _: &Lua) -> mlua::Result<Self> {
        to_duration(&value)
            .map(Self)
            .map_err(|wrong| ScriptError::invalid(wrong).into())
    }
}

impl Def {
    /// The name without module or class.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name
            .rsplit_once(['.', ':'])
            .map_or(self.name, |(_, short)| short)
    }

    /// The function, from one that computes.
    pub fn sync<A: FromLuaMulti + 'static, R: IntoLuaMulti + 'static>(
        &'static self,
        lua: &Lua,
        function: fn(&Lua, A) -> mlua::Result<R>,
    ) -> mlua::Result<Function> {
        lua.create_function(move |lua, arguments: MultiValue| {
            let arguments = self.placed(arguments);
            self.check(&arguments)?;
            let arguments: A = self.converted(arguments, lua)?;
            function(lua, arguments)?.into_lua_multi(lua)
        })
    }

    /// The function, from one that waits.
    pub fn wait<A, R, F>(
        &'static self,
        lua: &Lua,
        function: fn(Lua, A) -> F,
    ) -> mlua::Result<Function>
    where
        A: FromLuaMulti + 'static,
        R: IntoLuaMulti + 'static,
        F: Future<Output = mlua::Result<R>> + 'static,
    {
        lua.create_async_function(move |lua, arguments: MultiValue| async move {
            let arguments = self.placed(arguments);
            self.check(&arguments)?;
            let arguments: A = self.converted(arguments, &lua)?;
            function(lua.clone(), arguments).await?.into_lua_multi(&lua)
        })
    }

    /// Where the options table stands when it isn't the last argument.
    #[must_use]
    pub fn options_before_last(&self) -> Option<usize> {
        self.params
            .iter()
            .position(|param| param.kind == Type::Options)
    }

    /// The arguments with a place for options that were left out.
    fn placed(&self, arguments: MultiValue) -> MultiValue {
        let Some(position) = self.options_before_last() else {
            return arguments;
        };
        let position = position + usize::from(self.name.contains(':'));
        let mut arguments = arguments.into_vec();
        if arguments.get(position).is_some_and(Value::is_function) {
            arguments.insert(position, Value::Nil);
        }
        MultiValue::from_vec(arguments)
    }

    /// The arguments as Rust has them; after the check only bytes can be wrong that are no text.
    fn converted<A: FromLuaMulti>(&self, arguments: MultiValue, lua: &Lua) -> mlua::Result<A> {
        A::from_lua_multi(arguments, lua).map_err(|error| match error {
            mlua::Error::FromLuaConversionError {
                from: "string",
                message,
                ..
            } => {
                let (name, what) = (self.name, message.unwrap_or_default());
                let message = format!("bad argument to '{name}': a text that isn't UTF-8 ({what})");
                ScriptError::invalid(message).into()
            }
            error => error,
        })
    }

    fn check(&self, arguments: &MultiValue) -> Result<(), ScriptError> {
        let wrong = |position: usize, name: &str, what: &str| {
            ScriptError::invalid(format!(
                "bad argument #{position} '{name}' to '{}': {what}",
                self.name
            ))
        };
        let mut given = arguments.iter();
        if let Some((class, method)) = self.name.split_once(':')
            && !given.next().is_some_and(|this| is_of(this, class))
        {
            return Err(ScriptError::invalid(format!(
                "'{}' is a method: call it on the object, as in object:{method}(…)",
                self.name
            )));
        }
        for (position, param) in (1..).zip(self.params) {
            if param.kind == Type::Rest {
                return Ok(());
            }
            let value = given.next().unwrap_or(&Value::Nil);
            if value.is_nil() && (param.optional || param.kind == Type::Any) {
                continue;
            }
            if let Some(fault) = param.kind.fault(value) {
                return Err(wrong(position, param.name, &fault));
            }
            if let (Type::Options, Value::Table(table)) = (param.kind, value) {
                self.check_options(table)?;
            }
        }
        let options_last = !self.options.is_empty() && self.options_before_last().is_none();
        if options_last {
            match given.next() {
                None | Some(Value::Nil) => {}
                Some(Value::Table(table)) => self.check_options(table)?,
                Some(other) => {
                    let fault = format!("table expected, got {}", type_of(other));
                    return Err(wrong(self.params.len() + 1, "options", &fault));
                }
            }
        }
        if given.any(|value| !value.is_nil()) {
            let most = self.params.len() + usize::from(options_last);
            let most = crate::text::count(most as u64, "argument");
            return Err(ScriptError::invalid(format!(
                "'{}' takes at most {most}",
                self.name
            )));
        }
        Ok(())
    }

    fn check_options(&self, table: &Table) -> Result<(), ScriptError> {
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            let name = match &key {
                Value::String(name) => name.to_string_lossy(),
                other => super::inspect::one_line(other),
            };
            let option = self.option(&name)?;
            if let Some(fault) = option.kind.fault(&value) {
                return Err(ScriptError::invalid(format!(
                    "bad option '{name}' to '{}': {fault}",
                    self.name
                )));
            }
        }
        for option in self.options.iter().filter(|option| !option.optional) {
            if table.raw_get::<Value>(option.name)?.is_nil() {
                return Err(self.lacks(option));
            }
        }
        Ok(())
    }

    /// That a call lacks an option that it needs.
    pub(super) fn lacks(&self, option: &Param) -> ScriptError {
        ScriptError::invalid(format!(
            "'{}' needs the option '{}'",
            self.name, option.name
        ))
    }

    /// Its option of this name.
    pub(super) fn option(&self, name: &str) -> Result<&'static Param, ScriptError> {
        let mut options = self.options.iter();
        options.find(|option| option.name == name).ok_or_else(|| {
            let known: Vec<_> = self.options.iter().map(|option| option.name).collect();
            let near = did_you_mean(name, known.iter().copied());
            ScriptError::invalid(format!("'{}' has no option '{name}'{near}", self.name))
                .hint(format!("its options are {}", known.join(", ")))
        })
    }
}

/// Makes the lookup of a name that is not in a table an error that suggests the near one.
pub(super) fn strict(lua: &Lua, table: &Table, shown: &'static str) -> mlua::Result<()> {
    let mut names = Vec::new();
    for pair in table.pairs::<String, Value>() {
        names.push(pair?.0);
    }
    let missing = lua.create_function(move |_, (_, key): (Value, Value)| {
        let key = match &key {
            Value::String(name) => name.to_string_lossy(),
            other => super::inspect::one_line(other),
        };
        Err::<(), _>(has_no(shown, &key, names.iter().map(String::as_str)).into())
    })?;
    let behind = lua.create_table()?;
    behind.raw_set("__index", missing)?;
    table.set_metatable(Some(behind))
}

/// That there is no such name in a table or an object.
pub(super) fn has_no<'a>(
    shown: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> ScriptError {
    let near = did_you_mean(name, known);
    ScriptError::invalid(format!("{shown} has no '{name}'{near}"))
}

/// A table of functions by their definitions.
pub(super) fn functions(lua: &Lua, definitions: &'static [Def]) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, definitions.len())?;
    for definition in definitions {
        table.raw_set(definition.short_name(), (definition.make)(definition, lua)?)?;
    }
    Ok(table)
}

/// Gives an object's type the methods of its class.
pub(super) fn class<T>(fields: &mut impl mlua::UserDataFields<T>, class: &'static Class) {
    fields.add_meta_field("__name", class.name);
    fields.add_meta_field_with("__index", |lua| {
        let methods = functions(lua, class.methods)?;
        strict(lua, &methods, class.name)?;
        Ok(methods)
    });
}
