//! Progress on standard error: only on a terminal, only when it takes more than a second.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::output::{count, size};
use crate::server::Progress;

const PATIENCE: Duration = Duration::from_secs(1);

/// What is under way.
#[derive(Debug)]
pub struct Bar {
    begun: Instant,
    bar: Option<ProgressBar>,
    /// The most versions that were seen waiting: the whole of a drain.
    waiting_total: u64,
}

impl Bar {
    /// Begins the second of patience.
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            bar: None,
            waiting_total: 0,
        }
    }

    /// Shows how far it is.
    pub fn update(&mut self, progress: &Progress) {
        if let Progress::Waiting { versions } = progress {
            self.waiting_total = self.waiting_total.max(*versions);
        }
        if self.begun.elapsed() < PATIENCE || !std::io::stderr().is_terminal() {
            return;
        }
        let waiting_total = self.waiting_total;
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        match progress {
            Progress::Scanned {
                bytes,
                bytes_waiting,
                bytes_total: Some(total),
                ..
            } => {
                style(
                    bar,
                    "{spinner} backing up [{bar:30}] {binary_bytes}/{binary_total_bytes} {left}",
                );
                // Files grow, and others come, while they are counted.
                bar.set_length(*total.max(bytes));
                bar.set_position(bytes.saturating_sub(*bytes_waiting));
            }
            Progress::Scanned { files, bytes, .. } => {
                style(bar, "{spinner} {msg}");
                bar.set_message(format!(
                    "{}, {}",
                    count(*files, "file", "files"),
                    size(*bytes)
                ));
            }
            Progress::Waiting { versions } => {
                style(
                    bar,
                    "{spinner} storing [{bar:30}] {pos}/{len} versions {left}",
                );
                bar.set_length(waiting_total);
                bar.set_position(waiting_total - versions);
            }
            Progress::Checked { bytes, bytes_total } => {
                style(
                    bar,
                    "{spinner} checking [{bar:30}] {binary_bytes}/{binary_total_bytes} {left}",
                );
                bar.set_length(*bytes_total);
                bar.set_position(*bytes);
            }
            Progress::Rebuilt { bytes, bytes_total } => {
                style(
                    bar,
                    "{spinner} restoring [{bar:30}] {binary_bytes}/{binary_total_bytes} {left}",
                );
                bar.set_length(*bytes_total);
                bar.set_position(*bytes);
            }
            Progress::Migrated { bytes, bytes_total } => {
                style(
                    bar,
                    "{spinner} copying [{bar:30}] {binary_bytes}/{binary_total_bytes} {left}",
                );
                bar.set_length(*bytes_total);
                bar.set_position(*bytes);
            }
        }
    }

    /// Takes the bar away, so that a line can be printed.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(bar: &ProgressBar, template: &str) {
    // A template that is wrong shows the default bar; the words are constants above.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> ").with_key("left", time_left));
    }
}

/// Of what has not begun, nobody knows.
fn time_left(state: &ProgressState, out: &mut dyn Write) {
    if state.pos() > 0 {
        let _ = write!(out, "{:#} left", HumanDuration(state.eta()));
    }
}
