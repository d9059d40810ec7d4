//! A plan for a terminal.

use std::fmt::{self, Write};

use super::view::{View, bytes, remark, reservations, sizes, totals};
use crate::session::plan::difference::{Difference, FieldDifference, Line, LineKind, Listed};
use crate::session::plan::summary::{Effect, Group, ObjectSummary, effect};
use crate::text::visible;

/// The whole text; with colours when a terminal shows it.
pub(super) fn render(view: &View, color: bool) -> String {
    let mut page = Page {
        view,
        color,
        out: String::new(),
    };
    // Writing to a String cannot fail.
    let _ = page.all();
    page.out
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

struct Page<'a> {
    view: &'a View<'a>,
    color: bool,
    out: String,
}

impl Page<'_> {
    fn all(&mut self) -> fmt::Result {
        self.head()?;
        let view = self.view;
        for store in &view.summary.stores {
            let url = self.paint(BOLD, &visible(view.url(store.store)));
            let options = view.options(store.store).join(", ");
            write!(self.out, "\n{url}")?;
            if !options.is_empty() {
                write!(self.out, " ({})", visible(&options))?;
            }
            writeln!(self.out)?;
            for group in &store.groups {
                self.group(group)?;
            }
        }
        self.foot()
    }

    fn head(&mut self) -> fmt::Result {
        let (view, origin) = (self.view, &self.view.plan.origin);
        let title = self.paint(BOLD, &format!("Plan {}", origin.id));
        writeln!(self.out, "{title}")?;
        let mut rows = vec![("script", view.command())];
        if !origin.script_sha256.is_empty() {
            rows.push(("sha256", origin.script_sha256.clone()));
        }
        let kstate = &origin.kstate;
        rows.push((
            "made",
            format!("{} by {} with kstate {kstate}", origin.created, origin.who),
        ));
        rows.push((
            "from",
            format!("{} that must be as they were", view.observed()),
        ));
        rows.extend(view.locks().into_iter().map(|lock| ("lock", lock)));
        for (name, value) in rows {
            writeln!(self.out, "  {name:<8}{}", visible(&value))?;
        }
        Ok(())
    }

    fn foot(&mut self) -> fmt::Result {
        let totals_of_all = &self.view.summary.totals;
        let words = [totals(totals_of_all), bytes(totals_of_all)];
        let words: Vec<_> = words.into_iter().filter(|part| !part.is_empty()).collect();
        let words = self.paint(BOLD, &words.join("; "));
        writeln!(self.out, "\nIn total: {words}")?;
        if !self.view.plan.is_empty() {
            writeln!(self.out, "Do it with: {}", visible(&self.view.apply))?;
        }
        Ok(())
    }

    fn group(&mut self, group: &Group) -> fmt::Result {
        let name = group.cluster.as_deref().unwrap_or("(store)");
        let name = self.paint(BOLD, &visible(name));
        writeln!(self.out, "\n  {name}: {}", totals(&group.totals))?;
        for object in &group.objects {
            self.object(object)?;
        }
        Ok(())
    }

    fn object(&mut self, object: &ObjectSummary) -> fmt::Result {
        let steps = &self.view.plan.steps;
        if object.steps.len() > 1 {
            let words = match object.net {
                Effect::Nothing => "as before in the end",
                _ => "in the end",
            };
            let sign = self.sign(object.net);
            let name = visible(&object.name);
            let number = object.steps.len();
            writeln!(self.out, "    {sign} {name}: {words}, after {number} steps")?;
        }
        for at in &object.steps {
            let (step, mut line) = (&steps[*at], String::new());
            let indent = if object.steps.len() > 1 {
                "      "
            } else {
                "    "
            };
            let sign = self.sign(effect(step));
            write!(line, "{indent}{sign} {}", visible(&object.name))?;
            let difference = self.view.difference(object, step);
            let source = self
                .view
                .source(step)
                .map(|source| format!("from {source}"));
            let remark = remark(&difference, step).map(str::to_owned);
            let words = [Some(sizes(step)), source, remark];
            let words: Vec<_> = words
                .into_iter()
                .flatten()
                .filter(|part| !part.is_empty())
                .collect();
            if !words.is_empty() {
                let words = format!("({})", visible(&words.join(", ")));
                write!(line, " {}", self.paint(DIM, &words))?;
            }
            writeln!(self.out, "{line}")?;
            for (name, value) in self.view.metadata(step) {
                writeln!(self.out, "        {}: {}", visible(&name), visible(&value))?;
            }
            self.difference(&difference)?;
        }
        Ok(())
    }

    fn difference(&mut self, difference: &Difference) -> fmt::Result {
        let Difference::Text(text) = difference else {
            return Ok(());
        };
        let mut document = &None;
        for field in &text.fields.first {
            if let Some(name) = &field.document
                && field.document != *document
            {
                writeln!(self.out, "        {}", self.paint(BOLD, &visible(name)))?;
            }
            document = &field.document;
            self.field(&field.path, &field.change)?;
        }
        self.more(text.fields.more, "field")?;
        if text.fields.first.is_empty() || self.view.detail.full {
            self.lines(&text.lines, "        ")?;
        }
        for words in reservations(difference, self.view.detail) {
            let words = self.paint(DIM, &format!("({words})"));
            writeln!(self.out, "        {words}")?;
        }
        Ok(())
    }

    fn field(&mut self, path: &str, change: &FieldDifference) -> fmt::Result {
        let path = if path.is_empty() {
            "(all)".into()
        } else {
            visible(path)
        };
        let (effect, words) = match change {
            FieldDifference::Added { value } => (Effect::Create, visible(value).into_owned()),
            FieldDifference::Removed { value } => (Effect::Delete, visible(value).into_owned()),
            FieldDifference::Changed { old, new } => (
                Effect::Change,
                format!("{} → {}", visible(old), visible(new)),
            ),
            FieldDifference::Hidden => (Effect::Change, "changed (hidden)".to_owned()),
            FieldDifference::Reordered => (Effect::Change, "in another order".to_owned()),
            FieldDifference::Text { lines } => {
                writeln!(self.out, "        {} {path}:", self.sign(Effect::Change))?;
                return self.lines(lines, "            ");
            }
        };
        let sign = self.sign(effect);
        writeln!(self.out, "        {sign} {path}: {words}")
    }

    fn lines(&mut self, lines: &Listed<Line>, indent: &str) -> fmt::Result {
        for line in &lines.first {
            let color = match line.kind {
                LineKind::Place => CYAN,
                LineKind::Removed => RED,
                LineKind::Added => GREEN,
                LineKind::Same | LineKind::Unended => DIM,
            };
            let text = visible_line(&line.text);
            let text = self.paint(color, &format!("{}{text}", line.kind.sign()));
            writeln!(self.out, "{indent}{text}")?;
        }
        self.more(lines.more, "line")
    }

    fn more(&mut self, number: usize, what: &str) -> fmt::Result {
        if number == 0 {
            return Ok(());
        }
        let words = format!(
            "… {} more: --full shows all",
            crate::text::count(number as u64, what)
        );
        writeln!(self.out, "        {}", self.paint(DIM, &words))
    }

    fn sign(&self, effect: Effect) -> String {
        let color = match effect {
            Effect::Create => GREEN,
            Effect::Change | Effect::Replace => YELLOW,
            Effect::Delete => RED,
            Effect::Copy => CYAN,
            Effect::Nothing => DIM,
        };
        self.paint(color, effect.sign())
    }

    fn paint(&self, color: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{color}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A line of a file: tabs stay.
pub(super) fn visible_line(line: &str) -> String {
    let parts: Vec<_> = line.split('\t').map(visible).collect();
    parts.join("\t")
}
