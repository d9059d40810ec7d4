//! Calls: what a function is given, and what it gives.

use std::collections::BTreeSet;

use full_moon::ast::{BinOp, Expression, Field, FunctionArgs, TableConstructor};

use super::contract::text_of;
use super::known::{self, Known};
use super::walk::{Walk, first};
use super::{Rule, word};
use crate::lua::api::Def;
use crate::lua::error::ScriptError;

/// Whether the first argument is nothing, or is written out and thus no object of ours.
fn lacks_object(arguments: &FunctionArgs) -> bool {
    let FunctionArgs::Parentheses { arguments, .. } = arguments else {
        return true;
    };
    match arguments.iter().next() {
        Some(Expression::BinaryOperator { binop, .. }) => matches!(binop, BinOp::TwoDots(_)),
        Some(Expression::Symbol(symbol)) => word(symbol) != "...",
        Some(first) => matches!(
            first,
            Expression::String(_)
                | Expression::Number(_)
                | Expression::TableConstructor(_)
                | Expression::Function(_)
        ),
        None => true,
    }
}

impl<'a> Walk<'a> {
    /// What a call gives, with its options checked.
    pub(super) fn call(&mut self, function: Known<'a>, arguments: &FunctionArgs) -> Vec<Known<'a>> {
        let mut given = Vec::new();
        let mut tables = Vec::new();
        let mut text = None;
        match arguments {
            FunctionArgs::Parentheses { arguments, .. } => {
                for (place, argument) in arguments.iter().enumerate() {
                    given.push(first(&self.expression(argument)));
                    match argument {
                        Expression::TableConstructor(table) => tables.push((place, table)),
                        Expression::String(token) if place == 0 => text = text_of(token),
                        _ => {}
                    }
                }
            }
            FunctionArgs::String(token) => text = text_of(token),
            FunctionArgs::TableConstructor(table) => {
                self.table(table);
                tables.push((0, table));
            }
            _ => {}
        }
        match (function, given.first()) {
            (Known::Require, _) if text.as_deref() == Some("kstate") => vec![Known::Kstate],
            (Known::Ipairs, Some(Known::List(class))) => vec![Known::Elements(class)],
            (Known::Function(function), _) => {
                let place = function.options_before_last();
                let place = place.unwrap_or(function.params.len());
                if let Some((_, table)) = tables.iter().find(|(at, _)| *at == place) {
                    self.options(function, table);
                }
                known::results(function)
            }
            (Known::Method(method), _) => {
                if lacks_object(arguments) {
                    let error = format!("'{}' is a method: write a colon for the dot", method.name);
                    self.report(arguments, Rule::Field, &ScriptError::invalid(error));
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn options(&mut self, function: &'static Def, table: &TableConstructor) {
        if function.options.is_empty() {
            return;
        }
        let mut given = BTreeSet::new();
        let mut is_whole = true;
        for field in table.fields() {
            let Field::NameKey { key, .. } = field else {
                is_whole = false;
                continue;
            };
            match function.option(&word(key)) {
                Ok(option) => {
                    given.insert(option.name);
                }
                Err(error) => {
                    is_whole = false;
                    self.report(key, Rule::Option, &error);
                }
            }
        }
        let mut needed = function.options.iter().filter(|option| !option.optional);
        if let Some(option) = needed.find(|option| is_whole && !given.contains(option.name)) {
            self.report(table, Rule::Option, &function.lacks(option));
        }
    }
}
