//! A progress bar for transfers, on a terminal only.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::store::Key;
use crate::text;
use crate::transfer::{Observer, Outcome};

/// Shows a run on standard error.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar when standard error is a terminal and `wanted`, else an observer that shows nothing.
    pub(crate) fn observer(wanted: bool) -> Arc<dyn Observer> {
        match spinner(wanted) {
            bar if bar.is_hidden() => Arc::new(()),
            bar => Arc::new(Self(bar)),
        }
    }
}

/// What turns on standard error while something is done; hidden where that is no terminal, or
/// when it isn't `wanted`.
pub(crate) fn spinner(wanted: bool) -> ProgressBar {
    if !wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(turning());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// An unreadable template would be a mistake of ours; the default style still shows progress.
fn turning() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn filled() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {pos}/{len} objects, {per_sec}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Observer for Progress {
    fn started(&self) {
        self.0.set_style(turning());
        self.0.set_message("listing");
        self.0.set_position(0);
    }

    fn listed(&self, objects: u64) {
        if self.0.length().is_none() {
            self.0
                .set_message(format!("{} listed", text::count(objects, "object")));
        }
    }

    fn ahead(&self, objects: u64, _bytes: u64) {
        self.0.set_style(filled());
        self.0.set_length(objects);
        self.0.set_position(0);
    }

    fn object_done(&self, _key: &Key, _outcome: &Outcome) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
