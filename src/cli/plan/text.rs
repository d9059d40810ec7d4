//! A plan for a terminal.

use std::fmt::{self, Write};

use super::view::{View, more, reservations, totals};
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
            if store.groups.len() > 1 {
                write!(self.out, ": {}", totals(&store.totals))?;
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
        let words = self.paint(BOLD, &totals(&self.view.summary.totals));
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
        let base = self.view.source_base(group);
        if let Some(base) = &base {
            writeln!(self.out, "    (→ copies from {})", visible(base))?;
        }
        for object in &group.objects {
            self.object(object, base.as_deref())?;
        }
        Ok(())
    }

    fn object(&mut self, object: &ObjectSummary, base: Option<&str>) -> fmt::Result {
        let [at] = object.steps[..] else {
            let words = match object.net {
                Effect::Nothing => "as before in the end",
                _ => "in the end",
            };
            let sign = self.sign(object.net);
            let name = visible(&object.name);
            let number = object.steps.len();
            writeln!(self.out, "    {sign} {name}: {words}, after {number} steps")?;
            for at in &object.steps {
                self.step(object, *at, base, "      ")?;
            }
            return Ok(());
        };
        self.step(object, at, base, "    ")
    }

    fn step(
        &mut self,
        object: &ObjectSummary,
        at: usize,
        base: Option<&str>,
        indent: &str,
    ) -> fmt::Result {
        let view = self.view;
        let step = &view.plan.steps[at];
        let difference = view.difference(object, step);
        let sign = self.sign(effect(step));
        write!(self.out, "{indent}{sign} {}", visible(&object.name))?;
        let about = view.about(object, step, &difference);
        if !about.is_empty() {
            let about = self.paint(DIM, &format!("({about})"));
            write!(self.out, " {about}")?;
        }
        if let Some(source) = view.source_beside(base, object, step) {
            write!(self.out, " from {}", visible(&source))?;
        }
        writeln!(self.out)?;
        for (name, value) in view.metadata(step) {
            writeln!(self.out, "        {}: {}", visible(&name), visible(&value))?;
        }
        self.difference(&difference)
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
        for (words, flag) in reservations(difference) {
            if flag != "--full" || !self.view.detail.full {
                let words = self.paint(DIM, &format!("({words}: {flag} shows it)"));
                writeln!(self.out, "        {words}")?;
            }
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
        let words = format!("{}: --full shows all", more(number, what));
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
