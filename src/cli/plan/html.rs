//! A plan as one page: no scripts, nothing from outside.

use std::fmt::{self, Write};

use super::text::visible_line;
use super::view::{View, bytes, counts, more, reservations, totals, verb};
use crate::session::plan::difference::{
    Difference, FieldChange, FieldDifference, Line, LineKind, Listed,
};
use crate::session::plan::summary::{Effect, Group, ObjectSummary, StoreSummary, Totals, effect};
use crate::text::{count, visible};

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(super) fn render(view: &View) -> String {
    let mut page = Page {
        view,
        out: String::new(),
    };
    // Writing to a String cannot fail.
    let _ = page.all();
    page.out
}

/// A text of somebody else's, safe between tags and in an attribute.
fn safe(text: &str) -> String {
    escape(&visible(text))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn class(effect: Effect) -> &'static str {
    match effect {
        Effect::Create => "create",
        Effect::Change => "change",
        Effect::Delete => "delete",
        Effect::Copy => "copy",
        Effect::Replace => "replace",
        Effect::Nothing => "nothing",
    }
}

/// What happens to an object, in a word beside its sign.
fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Replace => "replace",
        Effect::Nothing => "as before",
        effect => verb(effect),
    }
}

struct Page<'a> {
    view: &'a View<'a>,
    out: String,
}

impl Page<'_> {
    fn all(&mut self) -> fmt::Result {
        let view = self.view;
        let id = safe(&view.plan.origin.id);
        let all = totals(&view.summary.totals);
        write!(
            self.out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>Plan {id}: {all}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
        )?;
        self.head()?;
        self.out.push_str("<main>\n");
        for store in &view.summary.stores {
            self.store(store)?;
        }
        self.foot()?;
        self.out.push_str("</main>\n</body>\n</html>\n");
        Ok(())
    }

    fn head(&mut self) -> fmt::Result {
        let (view, origin) = (self.view, &self.view.plan.origin);
        let kstate = safe(&origin.kstate);
        writeln!(
            self.out,
            "<header class=\"card\">\n<h1>Plan <code>{}</code></h1>",
            safe(&origin.id)
        )?;
        self.counts(&view.summary.totals)?;
        let code = |text: &str| format!("<code>{}</code>", safe(text));
        let mut rows = vec![
            ("Script", code(&view.command())),
            ("Script’s SHA-256", code(&origin.script_sha256)),
            ("Made", safe(&origin.created)),
            ("By", format!("{} with kstate {kstate}", safe(&origin.who))),
            (
                "Computed from",
                format!(
                    "{}; it is refused if any of it has changed since",
                    view.observed()
                ),
            ),
        ];
        let urls = view
            .summary
            .stores
            .iter()
            .map(|store| code(view.url(store.store)));
        rows.push(("Stores", urls.collect::<Vec<_>>().join("<br>")));
        let locks: Vec<_> = view.locks().iter().map(|lock| code(lock)).collect();
        rows.push(("Locks", locks.join("<br>")));
        rows.push((
            "Secrets",
            if view.detail.show_secrets {
                "<strong>shown</strong>"
            } else {
                "hidden"
            }
            .to_owned(),
        ));
        self.out.push_str("<dl>\n");
        for (name, value) in rows
            .iter()
            .filter(|(_, value)| !value.is_empty() && value != "<code></code>")
        {
            writeln!(self.out, "<dt>{name}</dt><dd>{value}</dd>")?;
        }
        self.out.push_str("</dl>\n</header>\n");
        Ok(())
    }

    fn foot(&mut self) -> fmt::Result {
        if self.view.plan.is_empty() {
            return Ok(());
        }
        let apply = safe(&self.view.apply);
        writeln!(
            self.out,
            "<section>\n<h2>How to apply it</h2>\n\
             <div class=\"box plain\" tabindex=\"0\" role=\"region\" aria-label=\"The command\"><pre>{apply}</pre></div>\n\
             <p class=\"soft\">It writes nothing if anything that the plan was computed from has changed, and \
             each write is conditional. <code>kstate undo</code> takes it back.</p>\n</section>"
        )
    }

    fn counts(&mut self, all: &Totals) -> fmt::Result {
        self.out.push_str("<ul class=\"counts\">\n");
        for (effect, number) in counts(all) {
            let words = match effect {
                Effect::Nothing => "as before in the end".to_owned(),
                effect => format!("to {}", verb(effect)),
            };
            let (class, sign) = (class(effect), effect.sign());
            writeln!(
                self.out,
                "<li class=\"tag {class}\">{sign} {number} {words}</li>"
            )?;
        }
        if counts(all).next().is_none() {
            self.out
                .push_str("<li class=\"tag nothing\">nothing to do</li>\n");
        }
        let bytes = bytes(all);
        if !bytes.is_empty() {
            writeln!(self.out, "<li class=\"soft\">{bytes}</li>")?;
        }
        self.out.push_str("</ul>\n");
        Ok(())
    }

    fn store(&mut self, store: &StoreSummary) -> fmt::Result {
        let url = safe(self.view.url(store.store));
        writeln!(self.out, "<section>\n<h2><code>{url}</code></h2>")?;
        let options = self.view.options(store.store);
        if !options.is_empty() {
            let options = safe(&options.join(", "));
            writeln!(self.out, "<p class=\"soft\">{options}</p>")?;
        }
        if store.groups.len() > 1 {
            let words = totals(&store.totals);
            writeln!(self.out, "<p class=\"soft\">{words}</p>")?;
        }
        for group in &store.groups {
            self.group(group)?;
        }
        self.out.push_str("</section>\n");
        Ok(())
    }

    fn group(&mut self, group: &Group) -> fmt::Result {
        let name = match &group.cluster {
            Some(name) => format!("<code>{}</code>", safe(name)),
            None => "Outside any cluster".to_owned(),
        };
        let words = totals(&group.totals);
        writeln!(
            self.out,
            "<section class=\"group card\">\n<h3>{name}</h3>\n<p class=\"soft\">{words}</p>"
        )?;
        let base = self.view.source_base(group);
        if let Some(base) = &base {
            let base = safe(base);
            writeln!(
                self.out,
                "<p class=\"soft\">→ copies from <code>{base}</code></p>"
            )?;
        }
        self.out.push_str("<ul class=\"objects\">\n");
        for object in &group.objects {
            self.object(object, base.as_deref())?;
        }
        self.out.push_str("</ul>\n</section>\n");
        Ok(())
    }

    fn object(&mut self, object: &ObjectSummary, base: Option<&str>) -> fmt::Result {
        self.out.push_str("<li>\n");
        if let [at] = object.steps[..] {
            self.step(object, at, base)?;
        } else {
            let number = count(object.steps.len() as u64, "step");
            let words = format!("in the end, after {number}");
            self.line(object.net, &object.name, &words)?;
            self.out.push_str("<ol class=\"steps\">\n");
            for at in &object.steps {
                self.out.push_str("<li>\n");
                self.step(object, *at, base)?;
                self.out.push_str("</li>\n");
            }
            self.out.push_str("</ol>\n");
        }
        self.out.push_str("</li>\n");
        Ok(())
    }

    fn line(&mut self, effect: Effect, name: &str, words: &str) -> fmt::Result {
        let (class, sign, verb) = (class(effect), effect.sign(), word(effect));
        let name = safe(name);
        writeln!(
            self.out,
            "<div class=\"line\"><span class=\"tag {class}\">{sign} {verb}</span> \
             <code>{name}</code> <span class=\"soft\">{words}</span></div>"
        )
    }

    fn step(&mut self, object: &ObjectSummary, at: usize, base: Option<&str>) -> fmt::Result {
        let view = self.view;
        let step = &view.plan.steps[at];
        let difference = view.difference(object, step);
        let about = view.about(object, step, &difference);
        self.line(effect(step), &object.name, &about)?;
        if let Some(source) = view.source_beside(base, object, step) {
            let source = safe(&source);
            writeln!(self.out, "<p class=\"soft\">from <code>{source}</code></p>")?;
        }
        for (name, value) in view.metadata(step) {
            let (name, value) = (safe(&name), safe(&value));
            writeln!(
                self.out,
                "<p class=\"soft\">{name}: <code>{value}</code></p>"
            )?;
        }
        self.difference(&difference, effect(step), &object.name)
    }

    fn difference(&mut self, difference: &Difference, effect: Effect, name: &str) -> fmt::Result {
        let Difference::Text(text) = difference else {
            return Ok(());
        };
        let name = safe(name);
        let open = if effect == Effect::Change {
            " open"
        } else {
            ""
        };
        let has_fields = !text.fields.first.is_empty();
        if has_fields {
            self.fields(&text.fields, &name)?;
        }
        for (words, _) in reservations(difference) {
            writeln!(self.out, "<p class=\"soft\">{words}</p>")?;
        }
        if text.lines.first.is_empty() {
            return Ok(());
        }
        let (open, words) = match effect {
            _ if has_fields => ("", "Line by line"),
            Effect::Create => (open, "Content"),
            Effect::Delete => (open, "What was in it"),
            _ => (open, "Difference"),
        };
        writeln!(self.out, "<details{open}><summary>{words}</summary>")?;
        self.lines(&text.lines, &name)?;
        self.out.push_str("</details>\n");
        Ok(())
    }

    fn fields(&mut self, fields: &Listed<FieldChange>, name: &str) -> fmt::Result {
        writeln!(
            self.out,
            "<div class=\"box\" tabindex=\"0\" role=\"region\" aria-label=\"Fields of {name}\">\n\
             <table>\n<thead><tr><th scope=\"col\">Field</th><th scope=\"col\">Before</th>\
             <th scope=\"col\">After</th></tr></thead>\n<tbody>"
        )?;
        let mut document = &None;
        for field in &fields.first {
            if let Some(name) = &field.document
                && field.document != *document
            {
                let name = safe(name);
                writeln!(
                    self.out,
                    "</tbody>\n<tbody>\n<tr><th scope=\"rowgroup\" colspan=\"3\">{name}</th></tr>"
                )?;
            }
            document = &field.document;
            let path = if field.path.is_empty() {
                "(all)"
            } else {
                &field.path
            };
            let path = safe(path);
            write!(self.out, "<tr><th scope=\"row\"><code>{path}</code></th>")?;
            self.field(&field.change, &path)?;
            self.out.push_str("</tr>\n");
        }
        if fields.more > 0 {
            let words = more(fields.more, "field");
            writeln!(
                self.out,
                "<tr><td colspan=\"3\" class=\"soft\">{words}: --full shows all</td></tr>"
            )?;
        }
        self.out.push_str("</tbody>\n</table>\n</div>\n");
        Ok(())
    }

    fn field(&mut self, change: &FieldDifference, path: &str) -> fmt::Result {
        let old = |value: &str| format!("<td><del><code>{}</code></del></td>", safe(value));
        let new = |value: &str| format!("<td><ins><code>{}</code></ins></td>", safe(value));
        let both = |words| format!("<td colspan=\"2\" class=\"soft\">{words}</td>");
        let cells = match change {
            FieldDifference::Added { value } => format!("<td></td>{}", new(value)),
            FieldDifference::Removed { value } => format!("{}<td></td>", old(value)),
            FieldDifference::Changed { old: from, new: to } => format!("{}{}", old(from), new(to)),
            FieldDifference::Hidden => both("changed (hidden)"),
            FieldDifference::Reordered => both("in another order"),
            FieldDifference::Text { lines } => {
                self.out.push_str("<td colspan=\"2\">");
                self.lines(lines, path)?;
                "</td>".to_owned()
            }
        };
        self.out.push_str(&cells);
        Ok(())
    }

    fn lines(&mut self, lines: &Listed<Line>, name: &str) -> fmt::Result {
        write!(
            self.out,
            "<div class=\"box\" tabindex=\"0\" role=\"region\" aria-label=\"Lines of {name}\"><pre>"
        )?;
        for line in &lines.first {
            let class = match line.kind {
                LineKind::Place => "place",
                LineKind::Unended => "unended",
                LineKind::Removed => "delete",
                LineKind::Added => "create",
                LineKind::Same => "same",
            };
            let text = escape(&visible_line(&line.text));
            write!(
                self.out,
                "<span class=\"{class}\">{}{text}\n</span>",
                line.kind.sign()
            )?;
        }
        self.out.push_str("</pre></div>\n");
        if lines.more > 0 {
            let words = more(lines.more, "line");
            writeln!(self.out, "<p class=\"soft\">{words}: --full shows all</p>")?;
        }
        Ok(())
    }
}
