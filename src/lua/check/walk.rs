//! The way through a script: which name is which, and what its values are known to be.

use std::collections::BTreeSet;

use full_moon::ast::{
    Assignment, Block, Call, Expression, Field, FunctionBody, FunctionDeclaration, GenericFor,
    Index, LastStmt, LocalAssignment, Parameter, Prefix, Stmt, Suffix, TableConstructor, Var,
};
use full_moon::node::Node;
use full_moon::tokenizer::TokenReference;

use super::contract::{Contract, text_of};
use super::known::{self, Globals, Known};
use super::{Finding, Rule, word};
use crate::lua::api::{Class, Def, has_no};
use crate::lua::error::ScriptError;
use crate::text::did_you_mean;

/// One walk through a file.
pub(super) struct Walk<'a> {
    globals: &'a Globals,
    contract: &'a Contract<'a>,
    /// The locals that are visible, innermost last.
    locals: Vec<Local<'a>>,
    /// How many locals were declared so far: each has the number of its place.
    declared: usize,
    /// What an earlier walk saw, and what this one sees.
    known: &'a Seen,
    pub(super) seen: Seen,
    pub(super) findings: Vec<Finding>,
}

/// What is somewhere in a file, also behind where it matters.
#[derive(Default)]
pub(super) struct Seen {
    /// The locals that get another value, of which nothing is known then.
    reassigned: BTreeSet<usize>,
    /// Globals that the file makes, where it may, or through `_G`.
    made: BTreeSet<String>,
    /// The names of fields that get a value, in whatever table that isn't read-only.
    assigned: BTreeSet<String>,
    /// Whether fields of objects get values by names that are only known at run time.
    assigns_any: bool,
}

struct Local<'a> {
    name: String,
    number: usize,
    known: Known<'a>,
}

impl<'a> Walk<'a> {
    /// A walk that knows what is somewhere in the file.
    pub(super) fn new(globals: &'a Globals, contract: &'a Contract<'a>, known: &'a Seen) -> Self {
        Self {
            globals,
            contract,
            locals: Vec::new(),
            declared: 0,
            known,
            seen: Seen::default(),
            findings: Vec::new(),
        }
    }

    pub(super) fn file(mut self, block: &Block) -> Self {
        self.statements(block);
        self
    }

    pub(super) fn report(&mut self, node: &impl Node, rule: Rule, error: &ScriptError) {
        self.findings.push(Finding::at(node, rule, error));
    }

    fn declare(&mut self, name: impl Into<String>, known: Known<'a>) {
        let (name, number) = (name.into(), self.declared);
        self.declared += 1;
        self.locals.push(Local {
            name,
            number,
            known,
        });
    }

    fn local(&self, name: &str) -> Option<&Local<'a>> {
        self.locals.iter().rev().find(|local| local.name == name)
    }

    fn block(&mut self, block: &Block) {
        let visible = self.locals.len();
        self.statements(block);
        self.locals.truncate(visible);
    }

    fn statements(&mut self, block: &Block) {
        for statement in block.stmts() {
            self.statement(statement);
        }
        if let Some(LastStmt::Return(last)) = block.last_stmt() {
            for value in last.returns() {
                self.expression(value);
            }
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Assignment(assignment) => self.assignment(assignment),
            Stmt::Do(inner) => self.block(inner.block()),
            Stmt::FunctionCall(call) => {
                self.chain(call.prefix(), call.suffixes());
            }
            Stmt::FunctionDeclaration(function) => self.function(function),
            Stmt::GenericFor(each) => self.each(each),
            Stmt::If(choice) => {
                self.expression(choice.condition());
                self.block(choice.block());
                for other in choice.else_if().into_iter().flatten() {
                    self.expression(other.condition());
                    self.block(other.block());
                }
                if let Some(block) = choice.else_block() {
                    self.block(block);
                }
            }
            Stmt::LocalAssignment(assignment) => self.local_assignment(assignment),
            Stmt::LocalFunction(function) => {
                let is_main = self.contract.is_main(function);
                self.declare(word(function.name()), Known::Nothing);
                self.body(function.body(), is_main);
            }
            Stmt::NumericFor(count) => {
                self.expression(count.start());
                self.expression(count.end());
                if let Some(step) = count.step() {
                    self.expression(step);
                }
                let visible = self.locals.len();
                self.declare(word(count.index_variable()), Known::Nothing);
                self.statements(count.block());
                self.locals.truncate(visible);
            }
            Stmt::Repeat(repeat) => {
                let visible = self.locals.len();
                self.statements(repeat.block());
                // The condition sees the locals of the block.
                self.expression(repeat.until());
                self.locals.truncate(visible);
            }
            Stmt::While(repeat) => {
                self.expression(repeat.condition());
                self.block(repeat.block());
            }
            // Labels, and jumps to them.
            _ => {}
        }
    }

    fn assignment(&mut self, assignment: &Assignment) {
        for value in assignment.expressions() {
            self.expression(value);
        }
        for variable in assignment.variables() {
            match variable {
                Var::Name(name) => self.set(name),
                Var::Expression(place) => {
                    let mut suffixes: Vec<_> = place.suffixes().collect();
                    let Some(last) = suffixes.pop() else { continue };
                    let table = self.chain(place.prefix(), suffixes.into_iter());
                    self.set_field(first(&table), place.prefix(), last);
                }
                _ => {}
            }
        }
    }

    fn set(&mut self, name: &TokenReference) {
        let text = word(name);
        if let Some(number) = self.local(&text).map(|local| local.number) {
            self.seen.reassigned.insert(number);
        } else if !self.globals.open {
            let error = ScriptError::invalid(format!("'{text}' is a global, and is assigned"));
            let error = error.hint("globals are read-only in scripts; add `local`");
            self.report(name, Rule::Global, &error);
        } else {
            self.seen.made.insert(text);
        }
    }

    fn set_field(&mut self, table: Known<'a>, prefix: &Prefix, place: &Suffix) {
        let Suffix::Index(index) = place else { return };
        match index {
            Index::Brackets { expression, .. } => {
                self.expression(expression);
                let name = match &**expression {
                    Expression::String(name) => text_of(name),
                    _ => None,
                };
                match name {
                    Some(name) => {
                        self.seen.assigned.insert(name);
                    }
                    None => self.seen.assigns_any |= table.takes_fields(),
                }
            }
            Index::Dot { name, .. } => {
                let text = word(name);
                let shown = match table {
                    Known::Kstate => "kstate".to_owned(),
                    Known::Module(module) => format!("kstate.{}", module.name),
                    Known::Library(library, _) => library.to_owned(),
                    _ => {
                        let is_global =
                            matches!(prefix, Prefix::Name(global) if word(global) == "_G");
                        let names = if is_global {
                            &mut self.seen.made
                        } else {
                            &mut self.seen.assigned
                        };
                        names.insert(text);
                        return;
                    }
                };
                let error = format!("'{shown}' is read-only (tried to set '{text}')");
                self.report(name, Rule::Field, &ScriptError::invalid(error));
            }
            _ => {}
        }
    }

    fn function(&mut self, function: &FunctionDeclaration) {
        let name = function.name();
        let mut names = name.names().iter();
        let is_alone = name.names().len() == 1 && name.method_name().is_none();
        if let Some(table) = names.next() {
            if is_alone {
                self.set(table);
            } else {
                self.name(table);
            }
        }
        if let Some(field) = name.method_name().or_else(|| names.last()) {
            self.seen.assigned.insert(word(field));
        }
        let visible = self.locals.len();
        if name.method_name().is_some() {
            self.declare("self", Known::Nothing);
        }
        self.body(function.body(), false);
        self.locals.truncate(visible);
    }

    fn local_assignment(&mut self, assignment: &LocalAssignment) {
        let values = self.list(assignment.expressions().iter());
        for (place, name) in assignment.names().iter().enumerate() {
            let known = values.get(place).copied().unwrap_or_default();
            self.declare(word(name), known);
        }
    }

    fn each(&mut self, each: &GenericFor) {
        let values = self.list(each.expressions().iter());
        let known = match first(&values) {
            Known::Object(class) => [known::elements(class), Known::Nothing],
            Known::Elements(class) => [Known::Nothing, Known::Object(class)],
            _ => [Known::Nothing; 2],
        };
        let visible = self.locals.len();
        for (place, name) in each.names().iter().enumerate() {
            self.declare(word(name), known.get(place).copied().unwrap_or_default());
        }
        self.statements(each.block());
        self.locals.truncate(visible);
    }

    fn body(&mut self, body: &FunctionBody, is_main: bool) {
        let visible = self.locals.len();
        for (place, parameter) in body.parameters().iter().enumerate() {
            if let Parameter::Name(name) = parameter {
                let is_context = is_main && place == 0;
                self.declare(
                    word(name),
                    if is_context {
                        Known::Context
                    } else {
                        Known::Nothing
                    },
                );
            }
        }
        self.statements(body.block());
        self.locals.truncate(visible);
    }

    /// What a list of expressions gives: the last one may be several values.
    fn list<'e>(&mut self, expressions: impl Iterator<Item = &'e Expression>) -> Vec<Known<'a>> {
        let mut all = Vec::new();
        let mut last = Vec::new();
        for expression in expressions {
            all.extend(last.first().copied());
            last = self.expression(expression);
            if last.is_empty() {
                last.push(Known::Nothing);
            }
        }
        all.extend(last);
        all
    }

    pub(super) fn expression(&mut self, expression: &Expression) -> Vec<Known<'a>> {
        match expression {
            Expression::BinaryOperator { .. } => self.operation(expression),
            Expression::Parentheses { expression, .. } => {
                return vec![first(&self.expression(expression))];
            }
            Expression::UnaryOperator { expression, .. } => {
                self.expression(expression);
            }
            Expression::Function(function) => self.body(function.body(), false),
            Expression::FunctionCall(call) => return self.chain(call.prefix(), call.suffixes()),
            Expression::TableConstructor(table) => self.table(table),
            Expression::Var(Var::Name(name)) => return vec![self.name(name)],
            Expression::Var(Var::Expression(place)) => {
                return self.chain(place.prefix(), place.suffixes());
            }
            _ => {}
        }
        vec![Known::Nothing]
    }

    /// Goes down the left side in a loop: a sum may have any number of terms.
    fn operation(&mut self, expression: &Expression) {
        let mut left = expression;
        let mut right = Vec::new();
        while let Expression::BinaryOperator { lhs, rhs, .. } = left {
            right.push(rhs);
            left = lhs;
        }
        self.expression(left);
        for operand in right.into_iter().rev() {
            self.expression(operand);
        }
    }

    pub(super) fn table(&mut self, table: &TableConstructor) {
        let is_script = self.contract.is(table);
        for field in table.fields() {
            match field {
                Field::ExpressionKey { key, value, .. } => {
                    self.expression(key);
                    self.expression(value);
                }
                Field::NameKey { key, value, .. } => match &**value {
                    Expression::Function(function) if is_script && word(key) == "main" => {
                        self.body(function.body(), true);
                    }
                    value => {
                        self.expression(value);
                    }
                },
                Field::NoKey(value) => {
                    self.expression(value);
                }
                _ => {}
            }
        }
    }

    fn chain<'e>(
        &mut self,
        prefix: &Prefix,
        suffixes: impl Iterator<Item = &'e Suffix>,
    ) -> Vec<Known<'a>> {
        let mut values = match prefix {
            Prefix::Name(name) => vec![self.name(name)],
            Prefix::Expression(expression) => self.expression(expression),
            _ => Vec::new(),
        };
        for suffix in suffixes {
            let this = first(&values);
            values = match suffix {
                Suffix::Index(Index::Dot { name, .. }) => vec![self.field(this, name)],
                Suffix::Index(Index::Brackets { expression, .. }) => {
                    self.expression(expression);
                    Vec::new()
                }
                Suffix::Call(Call::AnonymousCall(arguments)) => self.call(this, arguments),
                Suffix::Call(Call::MethodCall(call)) => {
                    let method = self.method(this, call.name());
                    self.call(method, call.args())
                }
                _ => Vec::new(),
            };
        }
        values
    }

    fn name(&mut self, name: &TokenReference) -> Known<'a> {
        let text = word(name);
        if let Some(local) = self.local(&text) {
            let is_other = self.known.reassigned.contains(&local.number);
            return if is_other {
                Known::Nothing
            } else {
                local.known
            };
        }
        if let Some(known) = self.globals.get(&text) {
            return known;
        }
        if !self.globals.open && !self.known.made.contains(&text) {
            let visible = self.locals.iter().map(|local| local.name.as_str());
            let near = did_you_mean(&text, visible.chain(self.globals.names()));
            let error = format!("there is no local and no global '{text}'{near}");
            self.report(name, Rule::Global, &ScriptError::invalid(error));
        }
        Known::Nothing
    }

    fn field(&mut self, table: Known<'a>, name: &TokenReference) -> Known<'a> {
        let text = word(name);
        let found = match table {
            Known::Kstate => known::of_kstate(&text, self.contract.is_backend())
                .map_err(|names| has_no("kstate", &text, names)),
            Known::Module(module) => {
                let functions = || module.functions.iter();
                let function = functions().find(|function| function.short_name() == text);
                let names = functions().map(Def::short_name);
                function
                    .map(Known::Function)
                    .ok_or_else(|| has_no(&format!("kstate.{}", module.name), &text, names))
            }
            Known::Library(library, names) => (names.contains(&text))
                .then_some(Known::Nothing)
                .ok_or_else(|| has_no(library, &text, names.iter().map(String::as_str))),
            Known::Object(class) => object_field(class, &text),
            Known::Context if self.may_have(table, &text) => Ok(Known::Nothing),
            Known::Context | Known::Flags | Known::Arguments => self.contract.field(table, &text),
            _ => Ok(Known::Nothing),
        };
        found.unwrap_or_else(|error| {
            if !self.may_have(table, &text) {
                self.report(name, Rule::Field, &error);
            }
            Known::Nothing
        })
    }

    /// Whether the script may have given a value this field itself, also where the value had
    /// another name.
    fn may_have(&self, table: Known<'a>, field: &str) -> bool {
        table.takes_fields() && (self.known.assigns_any || self.known.assigned.contains(field))
    }

    fn method(&mut self, this: Known<'a>, name: &TokenReference) -> Known<'a> {
        let text = word(name);
        match this {
            Known::Object(class) => {
                let mut methods = class.methods.iter();
                if let Some(method) = methods.find(|method| method.short_name() == text) {
                    return Known::Function(method);
                }
                if !known::is_open(class) && !self.may_have(this, &text) {
                    let names = class.methods.iter().map(Def::short_name);
                    self.report(name, Rule::Field, &has_no(class.name, &text, names));
                }
                Known::Nothing
            }
            Known::Kstate | Known::Module(_) => {
                let function = self.field(this, name);
                if let Known::Function(function) = function {
                    let error = format!(
                        "'{}' is no method: write a dot for the colon",
                        function.name
                    );
                    self.report(name, Rule::Field, &ScriptError::invalid(error));
                }
                function
            }
            _ => Known::Nothing,
        }
    }
}

fn object_field<'a>(class: &'static Class, name: &str) -> Result<Known<'a>, ScriptError> {
    let mut methods = class.methods.iter();
    if let Some(method) = methods.find(|method| method.short_name() == name) {
        return Ok(Known::Method(method));
    }
    let names = || {
        let fields = class.fields.iter().map(|field| field.name);
        fields.chain(class.methods.iter().map(Def::short_name))
    };
    if known::is_open(class) || names().any(|known| known == name) {
        return Ok(Known::Nothing);
    }
    Err(has_no(class.name, name, names()))
}

pub(super) fn first<'a>(values: &[Known<'a>]) -> Known<'a> {
    values.first().copied().unwrap_or_default()
}
