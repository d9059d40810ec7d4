//! What a file returns: the table of a script, or a backend.

use full_moon::ast::{
    Block, Call, Expression, Field, FunctionCall, Index, LastStmt, LocalFunction, Prefix, Stmt,
    Suffix, TableConstructor, Var,
};
use full_moon::node::Node;
use full_moon::tokenizer::{TokenReference, TokenType};
use mlua::{Lua, Table, Value};

use super::known::Known;
use super::{Finding, Rule, word};
use crate::lua::api::has_no;
use crate::lua::backend;
use crate::lua::error::ScriptError;
use crate::lua::flags::{self, FIELDS, FLAG_FIELDS, among};
use crate::lua::manifest::Manifest;
use crate::lua::source::Source;
use crate::lua::vm;

/// What a file returns at its end.
pub(super) struct Contract<'a> {
    /// The table with a `main`.
    script: Option<&'a TableConstructor>,
    /// The local function that is its `main`.
    main: Option<&'a LocalFunction>,
    /// The names of its flags and its arguments; `None` where they aren't written out.
    flags: Option<Vec<String>>,
    arguments: Option<Vec<String>>,
    /// The `kstate.backend{ … }`.
    backend: Option<&'a FunctionCall>,
}

impl<'a> Contract<'a> {
    /// Looks at the end of a file.
    pub(super) fn find(file: &'a Block) -> Self {
        let mut contract = Self {
            script: None,
            main: None,
            flags: None,
            arguments: None,
            backend: None,
        };
        let Some(LastStmt::Return(last)) = file.last_stmt() else {
            return contract;
        };
        match last.returns().iter().next() {
            Some(Expression::TableConstructor(table)) => {
                let Some(main) = value(table, "main") else {
                    return contract;
                };
                contract.script = Some(table);
                if let Expression::Var(Var::Name(name)) = main {
                    contract.main = local_function(file, &word(name));
                }
                contract.flags = names(table, "flags");
                contract.arguments = names(table, "args");
            }
            Some(Expression::FunctionCall(call)) if makes_backend(call) => {
                contract.backend = Some(call);
            }
            _ => {}
        }
        contract
    }

    /// Whether this is the script's `main`.
    pub(super) fn is_main(&self, function: &LocalFunction) -> bool {
        self.main.is_some_and(|main| std::ptr::eq(main, function))
    }

    /// Whether this is the script's table.
    pub(super) fn is(&self, table: &TableConstructor) -> bool {
        self.script
            .is_some_and(|script| std::ptr::eq(script, table))
    }

    /// Whether the file is a backend.
    pub(super) fn is_backend(&self) -> bool {
        self.backend.is_some()
    }

    /// What a field of what `main` gets is.
    pub(super) fn field<'k>(&self, table: Known<'k>, name: &str) -> Result<Known<'k>, ScriptError> {
        let (declared, what) = match table {
            Known::Context => {
                return match name {
                    "flags" => Ok(Known::Flags),
                    "args" => Ok(Known::Arguments),
                    "dry_run" => Ok(Known::Nothing),
                    _ => Err(has_no("what main gets", name, ["flags", "args", "dry_run"])),
                };
            }
            Known::Flags => (&self.flags, "flag"),
            _ => (&self.arguments, "argument"),
        };
        match declared {
            Some(names) if !names.iter().any(|known| known == name) => {
                let error = has_no("the script", name, names.iter().map(String::as_str));
                let message = error.message().replace("no '", &format!("no {what} '"));
                Err(ScriptError::invalid(message))
            }
            _ => Ok(Known::Nothing),
        }
    }

    /// Checks the declaration itself, as it will be when the file is used.
    pub(super) fn check(
        &self,
        lua: &Lua,
        source: &Source,
        text: &str,
        findings: &mut Vec<Finding>,
    ) {
        let judge = Judge { lua, text };
        if let Some(script) = self.script {
            judge.script(script, findings);
        }
        // An unknown field of the backend's table is told already, as an option of its function.
        let is_told = findings.iter().any(|finding| finding.rule == Rule::Option);
        if let Some(call) = self.backend.filter(|_| !is_told)
            && let Err(error) = backend::describe(&source.name, &source.text)
        {
            let mut finding = Finding::at(call, Rule::Declaration, &error);
            if let Some((name, line)) = crate::lua::traceback::position(error.message()) {
                finding.line = line;
                finding.column = 1;
                let behind = format!("{name}:{line}: ");
                finding.message = finding.message.replacen(&behind, "", 1);
            }
            let named = format!("{}: ", source.name);
            finding.message = finding.message.replacen(&named, "", 1);
            findings.push(finding);
        }
    }
}

/// The local function that has this name at the end of a file, unless it is something else there.
fn local_function<'a>(file: &'a Block, name: &str) -> Option<&'a LocalFunction> {
    let is = |token: &TokenReference| word(token) == name;
    let meanings = file.stmts().filter_map(|statement| match statement {
        Stmt::LocalFunction(function) => is(function.name()).then_some(Some(function)),
        Stmt::LocalAssignment(locals) => locals.names().iter().any(is).then_some(None),
        Stmt::Assignment(assignment) => {
            let mut variables = assignment.variables().iter();
            variables
                .any(|variable| matches!(variable, Var::Name(name) if is(name)))
                .then_some(None)
        }
        _ => None,
    });
    meanings.last().flatten().map(Box::as_ref)
}

/// The field of a table with this name.
fn value<'a>(table: &'a TableConstructor, name: &str) -> Option<&'a Expression> {
    table.fields().iter().find_map(|field| match field {
        Field::NameKey { key, value, .. } if word(key) == name => Some(&**value),
        _ => None,
    })
}

/// The names in a list of flags; none when there is no list, `None` when it isn't written out.
fn names(script: &TableConstructor, section: &str) -> Option<Vec<String>> {
    let list = match value(script, section) {
        None => return Some(Vec::new()),
        Some(Expression::TableConstructor(list)) => list,
        Some(_) => return None,
    };
    let name = |field: &Field| match field {
        Field::NoKey(Expression::TableConstructor(flag)) => match value(flag, "name")? {
            Expression::String(name) => text_of(name),
            _ => None,
        },
        _ => None,
    };
    list.fields().iter().map(name).collect()
}

fn makes_backend(call: &FunctionCall) -> bool {
    let mut suffixes = call.suffixes();
    let is_kstate = matches!(call.prefix(), Prefix::Name(name) if word(name) == "kstate");
    let is_backend = matches!(
        suffixes.next(),
        Some(Suffix::Index(Index::Dot { name, .. })) if word(name) == "backend"
    );
    let is_call = matches!(suffixes.next(), Some(Suffix::Call(Call::AnonymousCall(_))));
    is_kstate && is_backend && is_call && suffixes.next().is_none()
}

/// The contents of a string without escapes.
pub(super) fn text_of(token: &TokenReference) -> Option<String> {
    match token.token_type() {
        TokenType::StringLiteral { literal, .. } if !literal.contains('\\') => {
            Some(literal.to_string())
        }
        _ => None,
    }
}

/// Judges declarations by what judges them at run time, as far as they are written out.
struct Judge<'a> {
    lua: &'a Lua,
    text: &'a str,
}

impl Judge<'_> {
    fn script(&self, script: &TableConstructor, findings: &mut Vec<Finding>) {
        let mut find = |node: &dyn Start, error: &ScriptError| findings.push(node.finding(error));
        for field in script.fields() {
            let Field::NameKey { key, value, .. } = field else {
                continue;
            };
            let name = word(key);
            if let Err(error) = among(&name, &FIELDS, "a script's table") {
                find(key, &error);
            }
            match (name.as_str(), &**value) {
                ("flags" | "args", Expression::TableConstructor(list)) => {
                    for item in list.fields() {
                        self.flag(&name, item, &mut find);
                    }
                }
                ("permissions", value) if is_constant(value) => {
                    let table = format!("{{ permissions = {} }}", self.written(value));
                    let read = self.evaluate(&table);
                    if let Err(error) = read.and_then(|table| Manifest::read(&table)) {
                        find(key, &error);
                    }
                }
                _ => {}
            }
        }
    }

    fn flag(&self, section: &str, item: &Field, find: &mut dyn FnMut(&dyn Start, &ScriptError)) {
        let flag = match item {
            Field::NoKey(Expression::TableConstructor(flag)) => flag,
            Field::NoKey(Expression::String(_) | Expression::Number(_)) | Field::NameKey { .. } => {
                let error = format!("'{section}' of a script is a list, with a name in each item");
                let hint = format!("{section} = {{ {{ name = \"to\", type = \"string\" }}, … }}");
                find(item, &ScriptError::invalid(error).hint(hint));
                return;
            }
            _ => return,
        };
        let mut written = Vec::new();
        let mut is_named = true;
        for field in flag.fields() {
            let Field::NameKey { key, value, .. } = field else {
                continue;
            };
            let name = word(key);
            if let Err(error) = among(&name, &FLAG_FIELDS, "a flag") {
                find(key, &error);
            } else if is_constant(value) {
                written.push(format!("{name} = {}", self.written(value)));
            } else {
                is_named &= name != "name";
            }
        }
        let read = self.evaluate(&format!("{{ {} }}", written.join(", ")));
        let read = read.and_then(|table| flags::check(self.lua, &table));
        if let (true, Err(error)) = (is_named, read) {
            find(flag.as_ref(), &error);
        }
    }

    /// The text of an expression.
    fn written(&self, expression: &Expression) -> &str {
        let range = expression.range();
        let range = range.map(|(start, end)| start.bytes()..end.bytes());
        range
            .and_then(|range| self.text.get(range))
            .unwrap_or("nil")
    }

    /// The value of a table in which everything is written out.
    fn evaluate(&self, table: &str) -> Result<Table, ScriptError> {
        let nothing = self.lua.create_table()?;
        let chunk = vm::load(self.lua, "declaration", &format!("return {table}"), nothing)?;
        match chunk.call(())? {
            Value::Table(table) => Ok(table),
            _ => Ok(self.lua.create_table()?),
        }
    }
}

/// Where a finding is.
trait Start {
    fn finding(&self, error: &ScriptError) -> Finding;
}

impl<N: Node> Start for N {
    fn finding(&self, error: &ScriptError) -> Finding {
        Finding::at(self, Rule::Declaration, error)
    }
}

/// Whether an expression is written out, without variables, calls, functions and sums.
fn is_constant(expression: &Expression) -> bool {
    match expression {
        Expression::Number(_) | Expression::String(_) => true,
        Expression::Symbol(symbol) => word(symbol) != "...",
        Expression::UnaryOperator { expression, .. } => is_constant(expression),
        Expression::TableConstructor(table) => table.fields().iter().all(|field| match field {
            Field::ExpressionKey { key, value, .. } => is_constant(key) && is_constant(value),
            Field::NameKey { value, .. } => is_constant(value),
            Field::NoKey(value) => is_constant(value),
            _ => false,
        }),
        _ => false,
    }
}
