//! `kstate plan SCRIPT`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use crate::cli::Global;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print_json;
use crate::cli::run::ScriptRun;
use crate::config::mask::mask_args;
use crate::session::plan::file::{self, Recipients};
use crate::store::{Algorithm, Checksum};
use crate::text;

#[derive(Args)]
pub(super) struct Make {
    /// Where to save the plan; may also follow the script's arguments
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Encrypt the plan to this age recipient, or to those in a file; may be given again
    #[arg(long, value_name = "RECIPIENT")]
    encrypt_to: Vec<String>,
    #[command(flatten)]
    script: ScriptRun,
}

impl Make {
    /// People write the plan's file last: `kstate plan move_bucket --to X -o p`.
    pub(super) fn lift_flags(&mut self, global: &mut Global) {
        self.script.lift_flags(global);
        let mut kept = Vec::new();
        let mut args = std::mem::take(&mut self.script.script).into_iter();
        while let Some(arg) = args.next() {
            if let Some(file) = arg.strip_prefix("-o").filter(|file| !file.is_empty()) {
                self.output = Some(file.strip_prefix('=').unwrap_or(file).into());
                continue;
            }
            match arg.split_once('=').unwrap_or((&arg, "")) {
                ("--", _) => {
                    kept.push(arg);
                    kept.extend(args.by_ref());
                }
                ("-o", "") => self.output = args.next().map(PathBuf::from),
                ("--encrypt-to", "") => self.encrypt_to.extend(args.next()),
                ("--encrypt-to", recipient) => self.encrypt_to.push(recipient.to_owned()),
                _ => kept.push(arg),
            }
        }
        self.script.script = kept;
    }

    pub(super) fn run(self, context: &Arc<Context>) -> Result<u8, Failure> {
        let Some(output) = self.output.filter(|output| output.as_os_str() != "-") else {
            return Err(Failure::usage("no file to save the plan to")
                .hint("kstate plan SCRIPT [ARGS] -o FILE"));
        };
        let recipients = Recipients::parse(&self.encrypt_to)?;
        let ran = self.script.run("plan", context)?;
        match ran.ended? {
            Exit::DONE => {}
            // A script that says that it failed has no plan worth doing.
            code => {
                return Err(Failure::new(
                    code,
                    format!("the script ended with exit code {code}; no plan was saved"),
                ));
            }
        }
        let args = self.script.script.iter().skip(1).cloned();
        let origin = context.session.origin(
            &ran.source.name,
            &Checksum::of(Algorithm::Sha256, ran.source.text.as_bytes()).hex(),
            mask_args(args),
        );
        let plan = context.session.plan(origin);
        file::save(&plan, &output, &recipients)?;
        let shown = output.display().to_string();
        let changes = text::count(plan.steps.len() as u64, "change");
        if context.json {
            print_json(
                &json!({ "plan": plan.origin.id, "file": shown, "steps": plan.steps.len() }),
            )?;
        }
        if plan.is_empty() {
            tracing::info!("nothing to do; the plan in {shown} is empty");
            return Ok(Exit::DONE);
        }
        if plan.changes_nothing() {
            tracing::info!("nothing to do: {changes} planned, of bytes that are there already");
            return Ok(Exit::DONE);
        }
        tracing::info!(
            "{changes} planned; look at them with: kstate plan show {shown}; do them with: kstate apply {shown}"
        );
        Ok(Exit::CHANGES)
    }
}
