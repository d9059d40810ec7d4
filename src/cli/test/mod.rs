//! `kstate test`: runs files of tests.

mod report;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;

use super::check;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::interrupts::{end_now, interrupted};
use super::output::LogFormat;
use super::permissions::ScriptGrants;
use super::run::{here, told};
use crate::lua::{Host, Output, Runtime, ScriptError, Source};
use crate::scripts;
use crate::session::Session;
use report::{Case, Fault, Printed, Report};

/// Runs the tests of scripts.
///
/// A file of tests ends in _test.lua and returns a table of functions. Each function is a test: it
/// runs in a VM of its own, with stores of its own in memory (memfs://), and gets one that is
/// empty. It fails when it raises an error. Nothing but memory may be written, unless
/// --allow-write says so.
#[derive(Args)]
pub(super) struct Test {
    /// Files, and folders with *_test.lua files; default: the folder that you are in
    paths: Vec<PathBuf>,
    /// Run only tests with this in their file or name
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        help = "Also write the results to this file, in the format of JUnit"
    )]
    junit: Option<PathBuf>,
    /// How long one test may take
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = crate::units::duration)]
    timeout: Duration,
    #[command(flatten)]
    pub(super) grants: ScriptGrants,
}

impl Test {
    pub(super) fn run(self, context: &Arc<Context>) -> Result<u8, Failure> {
        let files = self.files()?;
        let report = Report::new(context.json, self.junit.clone());
        let report = Shared(Arc::new(Mutex::new(report)));
        if let Some(io) = context.io() {
            let report = report.clone();
            // What a test leaves behind lies in memory.
            io.spawn(async move {
                interrupted().await;
                report.cut_off(Exit::INTERRUPTED, "interrupted");
            });
        }
        let ran = here(async {
            for file in &files {
                self.file(context, file, &report).await?;
            }
            Ok(())
        });
        let report = report.lock();
        if report.is_empty() {
            return Err(ran.err().unwrap_or_else(|| self.no_tests(&files)));
        }
        let written = report.write_junit();
        ran.and(written)?;
        report.conclude()?;
        Ok(if report.passed() {
            Exit::DONE
        } else {
            Exit::FAILED
        })
    }

    fn no_tests(&self, files: &[PathBuf]) -> Failure {
        if let Some(what) = &self.filter {
            return Failure::usage(format!("no test has '{what}' in its file or name"));
        }
        let files: Vec<_> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        Failure::usage(format!("there are no tests in {}", files.join(", ")))
            .hint("a file of tests returns a table of functions, each of which is a test")
    }

    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let is_meant = |file: &Path| {
            let name = file.file_name().unwrap_or_default();
            let is_named = self.paths.iter().any(|path| check::plain(path) == file);
            // A folder that can't be looked into may have some.
            name.to_string_lossy().ends_with("_test.lua") || is_named || file.is_dir()
        };
        let mut files = check::files(&self.paths)?;
        files.retain(|file| is_meant(file));
        if files.is_empty() {
            return Err(
                Failure::usage("there are no tests here: no file ends in _test.lua")
                    .hint("kstate new script NAME writes a script with a test"),
            );
        }
        Ok(files)
    }

    async fn file(
        &self,
        context: &Arc<Context>,
        file: &Path,
        report: &Shared,
    ) -> Result<(), Failure> {
        let name = file.display().to_string();
        let printed = report.lock().begin(Case::of(&name, "the file"));
        let source = match Source::read(file) {
            Ok(source) => source,
            Err(error) => return report.lock().end(Some(Fault::of(error.message()))),
        };
        let runtime = self.runtime(context, report, printed)?;
        let tests = match runtime.tests(&source).await {
            Ok(tests) => tests,
            Err(error) => return report.lock().end(Some(fault(&runtime, &error, &source))),
        };
        for test in tests {
            let named = format!("{} {}", source.name, test.name);
            if self
                .filter
                .as_ref()
                .is_some_and(|text| !named.contains(text))
            {
                continue;
            }
            let printed = report.lock().begin(Case {
                line: Some(test.line),
                ..Case::of(&name, &test.name)
            });
            let runtime = self.runtime(context, report, printed)?;
            let ended = runtime.run_test(&source, &test.name).await;
            let fault = ended.err().map(|error| fault(&runtime, &error, &source));
            report.lock().end(fault)?;
        }
        Ok(())
    }

    /// A VM that shares nothing with any other.
    fn runtime(
        &self,
        context: &Arc<Context>,
        report: &Shared,
        printed: Printed,
    ) -> Result<Runtime, Failure> {
        let Some(io) = context.io() else {
            return Err(Failure::silent(Exit::FAILED));
        };
        let mut grants = context.session.grants().clone();
        grants.write.get_or_insert_default();
        grants.memory = true;
        let session = Session::over(context.another_registry()?, context.session.mode());
        let output = Output::new(printed);
        let mut host = Host::new(io.clone(), Arc::new(session.granting(grants)), output);
        let (names, state) = (Arc::clone(context), Arc::clone(context));
        host.resolve = Arc::new(move |text| names.url(text));
        host.state_store = Arc::new(move || state.state_store());
        host.timeout = Some(self.timeout);
        let report = report.clone();
        host.on_stuck = Arc::new(move |_| {
            let why = "it doesn't stop: it is inside one long call, such as a string match";
            report.cut_off(Exit::TIMED_OUT, why);
        });
        let runtime = Runtime::new(host).map_err(|error| told(&error, &error.to_string()))?;
        runtime.embed(scripts::module);
        Ok(runtime)
    }
}

/// The results, for what ends the process in the middle of a test too.
#[derive(Clone)]
struct Shared(Arc<Mutex<Report>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the process, with a report of what is known until now.
    fn cut_off(&self, code: u8, why: &str) -> ! {
        // Held to the end, so that nobody else writes one.
        let mut report = self.lock();
        if let Err(failure) = report.cut_off(why) {
            failure.report(LogFormat::default());
        }
        end_now(code)
    }
}

fn fault(runtime: &Runtime, error: &ScriptError, source: &Source) -> Fault {
    let rendered = runtime.render(error);
    Fault {
        line: Runtime::line(error, &source.name),
        message: error.message().to_owned(),
        text: rendered.trim_start_matches("error: ").trim_end().to_owned(),
    }
}
