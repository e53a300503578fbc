//! Which packs a sampled check reads: a share of the bytes, further round a ring each time.
//!
//! The ring is the packs in an order drawn by lot once for each vault, so that a
//! sample is spread over old and new packs. Where the last one stopped is
//! remembered, so runs of a share read everything in time. The surprise: the
//! place is kept as a number on the ring and not as a pack, which may be gone.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use super::Shared;
use super::error::Result;
use crate::catalog::{PackRecord, PackState};
use crate::model::PackId;

const PARTS: u64 = 1_000_000;
/// The seed, and the place of the pack read last, as hexadecimal numbers.
const SETTING: &str = "store.sample";

/// A part of a whole, from a ten-thousandth of a percent to all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    parts_per_million: u64,
}

impl Share {
    fn of(self, bytes: u64) -> u64 {
        let part = u128::from(bytes) * u128::from(self.parts_per_million);
        // No more than `bytes`, so it fits.
        part.div_ceil(u128::from(PARTS)) as u64
    }
}

/// A text that is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a share like 1% or 0.5%, up to 100%")]
pub struct ShareError;

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> std::result::Result<Self, ShareError> {
        let number = text.strip_suffix('%').ok_or(ShareError)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) {
            return Err(ShareError);
        }
        if decimals.is_empty() || decimals.len() > 4 {
            return Err(ShareError);
        }
        let whole: u64 = whole.parse().map_err(|_| ShareError)?;
        let decimals: u64 = format!("{decimals:0<4}").parse().map_err(|_| ShareError)?;
        let parts_per_million = whole
            .checked_mul(PARTS / 100)
            .and_then(|parts| parts.checked_add(decimals))
            .filter(|parts| (1..=PARTS).contains(parts))
            .ok_or(ShareError)?;
        Ok(Self { parts_per_million })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (
            self.parts_per_million / (PARTS / 100),
            self.parts_per_million % (PARTS / 100),
        );
        match rest {
            0 => write!(f, "{whole}%"),
            rest => write!(f, "{whole}.{}%", format!("{rest:04}").trim_end_matches('0')),
        }
    }
}

/// The packs that one run reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    packs: HashSet<PackId>,
    bytes: u64,
    packs_total: u64,
    seed: u128,
    /// The place on the ring of the last of them.
    end: u128,
}

/// What a sampled check read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    /// Packs that were read.
    pub packs: u64,
    /// Packs in the store.
    pub packs_total: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What the order of the packs was drawn from, hexadecimal.
    pub seed: String,
}

/// Where on the ring a pack is.
fn place(seed: u128, pack: PackId) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes());
    hasher.update(&pack.0);
    let mut place = [0; 16];
    hasher.finalize_xof().fill(&mut place);
    u128::from_be_bytes(place)
}

fn remembered(text: &str) -> Option<(u128, u128)> {
    let (seed, end) = text.split_once(' ')?;
    let number = |text| u128::from_str_radix(text, 16).ok();
    Some((number(seed)?, number(end)?))
}

/// The packs that are next: at least one, each once, and then as many as the share wants.
pub(super) fn choose(shared: &Shared, share: Share, packs: &[PackRecord]) -> Result<Sample> {
    let known = shared.catalog()?.setting(SETTING)?;
    let (seed, last_end) = known
        .as_deref()
        .and_then(remembered)
        .unwrap_or_else(|| (shared.clock.random(), u128::MAX));
    let mut ring: Vec<(u128, PackRecord)> = packs
        .iter()
        .filter(|pack| pack.state == PackState::Stored)
        .map(|pack| (place(seed, pack.id), *pack))
        .collect();
    ring.sort_by_key(|(place, pack)| (*place, pack.id));
    let first = ring.partition_point(|(place, _)| *place <= last_end);
    ring.rotate_left(first);
    let wanted = share.of(ring.iter().map(|(_, pack)| pack.bytes).sum());
    let mut sample = Sample {
        packs: HashSet::new(),
        bytes: 0,
        packs_total: ring.len() as u64,
        seed,
        end: last_end,
    };
    for (place, pack) in ring {
        if !sample.packs.is_empty() && sample.bytes >= wanted {
            break;
        }
        sample.packs.insert(pack.id);
        sample.bytes += pack.bytes;
        sample.end = place;
    }
    Ok(sample)
}

impl Sample {
    /// Whether the pack is to be read.
    pub(super) fn has(&self, pack: PackId) -> bool {
        self.packs.contains(&pack)
    }

    /// The packs were read: the next run begins behind them.
    pub(super) fn finish(self, shared: &Shared) -> Result<Sampled> {
        let place = format!("{:x} {:x}", self.seed, self.end);
        shared.catalog()?.set_setting(SETTING, Some(&place))?;
        Ok(Sampled {
            packs: self.packs.len() as u64,
            packs_total: self.packs_total,
            bytes: self.bytes,
            seed: format!("{:x}", self.seed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage_above_nothing_and_up_to_all() {
        for (text, of_a_million) in [
            ("1%", 10_000),
            ("100%", 1_000_000),
            ("0.5%", 5_000),
            ("0.0001%", 1),
            ("12.25%", 122_500),
        ] {
            let share: Share = text.parse().unwrap();
            assert_eq!(share.of(1_000_000), of_a_million, "{text}");
            assert_eq!(share.to_string(), text);
        }
        assert_eq!("100%".parse::<Share>().unwrap().of(u64::MAX), u64::MAX);
        assert_eq!("0.0001%".parse::<Share>().unwrap().of(1), 1);
        for text in [
            "",
            "%",
            "1",
            "0%",
            "101%",
            "100.1%",
            "-1%",
            "1.%",
            ".5%",
            "0.00001%",
            "1 %",
            "+1%",
            "99999999999999999999%",
        ] {
            assert_eq!(text.parse::<Share>(), Err(ShareError), "{text}");
        }
    }
}
