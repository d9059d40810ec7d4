//! `kstate test`: runs files of tests.

mod report;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;

use super::check;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::interrupts::{end_now, interrupted};
use super::permissions::ScriptGrants;
use super::run::told;
use crate::lua::{self, Host, Output, Runtime, ScriptError, Source};
use crate::named_file;
use crate::scripts;
use crate::session::Session;
use report::{Case, Fault, Report};

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
        if let Some(io) = context.io() {
            // What a test leaves behind lies in memory.
            io.spawn(async {
                interrupted().await;
                end_now(Exit::INTERRUPTED);
            });
        }
        let mut report = Report::new(context.json);
        let ran = lua::block_on(async {
            for file in &files {
                self.file(context, file, &mut report).await?;
            }
            Ok::<_, Failure>(())
        });
        ran.map_err(|error| Failure::new(Exit::FAILED, format!("cannot start: {error}")))??;
        if report.is_empty() {
            let what = self.filter.as_deref().unwrap_or_default();
            return Err(Failure::usage(format!(
                "no test has '{what}' in its file or name"
            )));
        }
        if let Some(junit) = &self.junit {
            named_file::replace(junit, &report.junit()).map_err(|error| {
                let file = junit.display();
                Failure::new(Exit::FAILED, format!("cannot write {file}: {error}"))
            })?;
        }
        report.conclude()?;
        Ok(if report.passed() {
            Exit::DONE
        } else {
            Exit::FAILED
        })
    }

    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let here = [PathBuf::from(".")];
        let paths = match &self.paths[..] {
            [] => &here[..],
            paths => paths,
        };
        let is_meant = |file: &Path| {
            let name = file.file_name().unwrap_or_default();
            name.to_string_lossy().ends_with("_test.lua") || paths.iter().any(|path| path == file)
        };
        let mut files = check::files(paths)?;
        files.retain(|file| is_meant(file));
        for file in &mut files {
            if let Ok(plain) = file.strip_prefix(".") {
                *file = plain.to_owned();
            }
        }
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
        report: &mut Report,
    ) -> Result<(), Failure> {
        let source = Source::read(file).map_err(|error| told(&error, &error.to_string()))?;
        let (runtime, printed) = self.runtime(context)?;
        let tests = match runtime.tests(&source).await {
            Ok(tests) => tests,
            Err(error) => {
                let fault = Some(fault(&runtime, &error, &source));
                let output = printed.text();
                return report.add(Case {
                    fault,
                    output,
                    ..Case::of(&source.name, "the file")
                });
            }
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
            let (runtime, printed) = self.runtime(context)?;
            let began = Instant::now();
            let ended = runtime.run_test(&source, &test.name).await;
            report.add(Case {
                line: Some(test.line),
                took: began.elapsed(),
                fault: ended.err().map(|error| fault(&runtime, &error, &source)),
                output: printed.text(),
                ..Case::of(&source.name, &test.name)
            })?;
        }
        Ok(())
    }

    /// A VM that shares nothing with any other, and what is printed in it.
    fn runtime(&self, context: &Arc<Context>) -> Result<(Runtime, Printed), Failure> {
        let Some(io) = context.io() else {
            return Err(Failure::silent(Exit::FAILED));
        };
        let mut grants = context.session.grants().clone();
        grants.write.get_or_insert_default();
        grants.memory = true;
        let session = Session::over(context.another_registry()?, context.session.mode());
        let printed = Printed::default();
        let output = Output::new(printed.clone());
        let mut host = Host::new(io.clone(), Arc::new(session.granting(grants)), output);
        let (names, state) = (Arc::clone(context), Arc::clone(context));
        host.resolve = Arc::new(move |text| names.url(text));
        host.state_store = Arc::new(move || state.state_store());
        host.timeout = Some(self.timeout);
        host.on_stuck = Arc::new(|_| {
            tracing::error!("a test doesn't stop: it is inside one long call");
            end_now(Exit::TIMED_OUT);
        });
        let runtime = Runtime::new(host).map_err(|error| told(&error, &error.to_string()))?;
        runtime.embed(scripts::module);
        Ok((runtime, printed))
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

/// What a test printed.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
