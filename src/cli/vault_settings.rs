//! Settings that `init` writes down and `mount` takes for one run.

use std::time::Duration;

use clap::Args;

use crate::config::{
    InitOptions, Interval, Overrides, parse_bytes, parse_duration, parse_interval,
};
use crate::model::Override;

/// The settings that both take.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct VaultSettings {
    /// Versions of files that stay open: "off", or a time like 15m
    #[arg(long, value_name = "TIME", value_parser = parse_interval)]
    checkpoint_interval: Option<Interval>,
    /// Plain content kept in memory for readers, like 256MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    cache_bytes_max: Option<u64>,
    /// Size of a pack in the store, like 16MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pack_bytes: Option<u64>,
    /// Age at which a pack is closed, full or not, like 15m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pack_age_max: Option<Duration>,
    /// Compression, from 1 (fast) to 19 (small)
    #[arg(long, value_name = "LEVEL")]
    zstd_level: Option<i32>,
    /// Threads that hash and compress
    #[arg(long, value_name = "NUMBER")]
    ingest_threads: Option<usize>,
}

impl VaultSettings {
    /// For a mount.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            checkpoint_interval: self.checkpoint_interval,
            commit_interval: None,
            cache_bytes_max: self.cache_bytes_max,
            pack_bytes: self.pack_bytes,
            zstd_level: self.zstd_level,
            ingest_threads: self.ingest_threads,
            pack_age_max: self.pack_age_max,
        }
    }

    /// As they were given, for another process.
    pub fn arguments(&self) -> Vec<std::ffi::OsString> {
        let seconds = |time: Duration| format!("{}s", time.as_secs());
        let given = [
            (
                "--checkpoint-interval",
                self.checkpoint_interval
                    .map(|interval| interval.duration().map_or("off".into(), seconds)),
            ),
            (
                "--cache-bytes-max",
                self.cache_bytes_max.map(|n| n.to_string()),
            ),
            ("--pack-bytes", self.pack_bytes.map(|n| n.to_string())),
            ("--pack-age-max", self.pack_age_max.map(seconds)),
            ("--zstd-level", self.zstd_level.map(|n| n.to_string())),
            (
                "--ingest-threads",
                self.ingest_threads.map(|n| n.to_string()),
            ),
        ];
        given
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value?).into()))
            .collect()
    }

    /// For a new vault, beside what only `init` takes.
    pub fn fill(&self, options: InitOptions) -> InitOptions {
        InitOptions {
            checkpoint_interval: self.checkpoint_interval,
            cache_bytes_max: self.cache_bytes_max,
            pack_bytes: self.pack_bytes,
            pack_age_max: self.pack_age_max,
            zstd_level: self.zstd_level,
            ingest_threads: self.ingest_threads,
            ..options
        }
    }
}

/// Reads `on` or `off`.
pub fn parse_switch(text: &str) -> Result<Override, String> {
    Override::from_word(text.as_bytes()).ok_or_else(|| "write on or off".into())
}
