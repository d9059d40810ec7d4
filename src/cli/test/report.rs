//! What came of tests: for a person, for programs, and for build servers.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quick_xml::escape::escape;
use serde_json::{Value as Json, json};

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print_json;
use crate::named_file;
use crate::text::count;

/// What came of one test.
pub(super) struct Case {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) line: Option<usize>,
    pub(super) took: Duration,
    pub(super) fault: Option<Fault>,
    /// What it printed.
    pub(super) output: String,
}

/// Why a test failed.
pub(super) struct Fault {
    pub(super) line: Option<usize>,
    pub(super) message: String,
    /// All that is known, for a person.
    pub(super) text: String,
}

impl Case {
    pub(super) fn of(file: &str, name: &str) -> Self {
        Self {
            file: file.to_owned(),
            name: name.to_owned(),
            line: None,
            took: Duration::ZERO,
            fault: None,
            output: String::new(),
        }
    }

    fn write(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        let Self { file, name, .. } = self;
        let Some(fault) = &self.fault else {
            let took = self.took.as_millis();
            return writeln!(out, "ok    {file} {name} ({took} ms)");
        };
        writeln!(out, "FAIL  {file} {name}")?;
        for line in fault.text.lines() {
            writeln!(out, "{}", format!("      {line}").trim_end())?;
        }
        if !self.output.is_empty() {
            writeln!(out, "      it printed:")?;
        }
        for line in self.output.lines() {
            writeln!(out, "      | {line}")?;
        }
        Ok(())
    }

    fn to_json(&self) -> Json {
        let fault = self.fault.as_ref().map(
            |fault| json!({ "line": fault.line, "message": fault.message, "text": fault.text }),
        );
        json!({
            "file": self.file,
            "name": self.name,
            "line": self.line,
            "seconds": self.took.as_secs_f64(),
            "passed": fault.is_none(),
            "failure": fault,
            "output": self.output,
        })
    }
}

impl Fault {
    pub(super) fn of(message: &str) -> Self {
        Self {
            line: None,
            message: message.to_owned(),
            text: message.to_owned(),
        }
    }
}

/// What a test printed.
#[derive(Clone, Default)]
pub(super) struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock()).into_owned()
    }
}

impl std::io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A test that hasn't ended yet.
struct Running {
    case: Case,
    began: Instant,
    printed: Printed,
}

/// What came of all of them.
pub(super) struct Report {
    cases: Vec<Case>,
    running: Option<Running>,
    json: bool,
    junit: Option<PathBuf>,
}

impl Report {
    pub(super) fn new(json: bool, junit: Option<PathBuf>) -> Self {
        Self {
            cases: Vec::new(),
            running: None,
            json,
            junit,
        }
    }

    /// A test begins; gives what keeps what it prints.
    pub(super) fn begin(&mut self, case: Case) -> Printed {
        let printed = Printed::default();
        self.running = Some(Running {
            case,
            began: Instant::now(),
            printed: printed.clone(),
        });
        printed
    }

    /// The test that began has ended: adds what came of it, and tells it.
    pub(super) fn end(&mut self, fault: Option<Fault>) -> Result<(), Failure> {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        let case = Case {
            took: running.began.elapsed(),
            fault,
            output: running.printed.text(),
            ..running.case
        };
        let told = if self.json {
            Ok(())
        } else {
            case.write(&mut std::io::stdout().lock())
        };
        self.cases.push(case);
        Ok(told?)
    }

    /// Nothing more will come: the test that runs has failed.
    pub(super) fn cut_off(&mut self, why: &str) -> Result<(), Failure> {
        let told = self.end(Some(Fault::of(why)));
        self.write_junit()?;
        told.and_then(|()| self.conclude())
    }

    /// Writes the report for build servers, if one was asked for.
    pub(super) fn write_junit(&self) -> Result<(), Failure> {
        let Some(file) = &self.junit else {
            return Ok(());
        };
        named_file::replace(file, &self.junit()).map_err(|error| {
            let file = file.display();
            Failure::new(Exit::FAILED, format!("cannot write {file}: {error}"))
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    pub(super) fn passed(&self) -> bool {
        self.failed() == 0
    }

    fn failed(&self) -> usize {
        self.cases
            .iter()
            .filter(|case| case.fault.is_some())
            .count()
    }

    /// Tells what came of all of them.
    pub(super) fn conclude(&self) -> Result<(), Failure> {
        let failed = self.failed();
        let passed = self.cases.len() - failed;
        if self.json {
            let cases = self.cases.iter().map(Case::to_json).collect::<Json>();
            return print_json(&json!({ "passed": passed, "failed": failed, "tests": cases }));
        }
        let all = count(self.cases.len() as u64, "test");
        Ok(writeln!(
            std::io::stdout().lock(),
            "{all}: {passed} passed, {failed} failed"
        )?)
    }

    /// The report that build servers read: one suite a file.
    fn junit(&self) -> String {
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        text.push_str(&open("testsuites", "kstate test", &self.cases));
        for file in self.cases.chunk_by(|a, b| a.file == b.file) {
            text.push_str(&open("testsuite", &file[0].file, file));
            for case in file {
                case.write_xml(&mut text);
            }
            text.push_str("</testsuite>\n");
        }
        text.push_str("</testsuites>\n");
        text
    }
}

impl Case {
    fn write_xml(&self, text: &mut String) {
        let (file, name) = (xml(&self.file), xml(&self.name));
        let took = self.took.as_secs_f64();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            r#"<testcase classname="{file}" name="{name}" time="{took:.3}">"#
        );
        if let Some(fault) = &self.fault {
            let (message, all) = (xml(&fault.message), xml(&fault.text));
            let message = message.replace('\n', "&#10;");
            let _ = writeln!(text, r#"<failure message="{message}">{all}</failure>"#);
        }
        if !self.output.is_empty() {
            let _ = writeln!(text, "<system-out>{}</system-out>", xml(&self.output));
        }
        text.push_str("</testcase>\n");
    }
}

/// The beginning of a suite.
fn open(element: &str, name: &str, cases: &[Case]) -> String {
    let failed = cases.iter().filter(|case| case.fault.is_some()).count();
    let took: Duration = cases.iter().map(|case| case.took).sum();
    format!(
        "<{element} name=\"{}\" tests=\"{}\" failures=\"{failed}\" time=\"{:.3}\">\n",
        xml(name),
        cases.len(),
        took.as_secs_f64()
    )
}

/// Text in XML, which has no place for most control characters.
fn xml(text: &str) -> String {
    let fits = |c: char| !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    let text: String = text
        .chars()
        .map(|c| if fits(c) { c } else { '\u{fffd}' })
        .collect();
    escape(text.as_str()).into_owned()
}
