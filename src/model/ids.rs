//! The identifiers of the project, each a type of its own.
//!
//! `AssetId` and `VersionId` are shown to people as 32 lower-case hex digits;
//! the row numbers (`NodeId`, `VersionSeq`, `ContentId`) never leave one vault.
//! The surprise: version ids are UUIDv7 bits, but issued strictly increasing,
//! so sorting them as text sorts them in time.

use std::fmt;
use std::str::FromStr;

use super::clock::{Clock, Timestamp};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text has characters outside `0-9a-f`, or is longer than an id.
    #[error("'{0}' is not an id: ids are up to 32 hex digits")]
    NotHex(String),
    /// A prefix needs at least four digits to be taken as one.
    #[error("'{0}' is too short: give at least 4 digits of the id")]
    TooShort(String),
    /// A full id has 32 digits.
    #[error("'{0}' is not a full id: it has {1} digits, not 32")]
    NotFull(String, usize),
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let digits = hex_digits(text)?;
                if digits.len() != $bytes * 2 {
                    return Err(IdError::NotFull(text.into(), digits.len()));
                }
                let mut bytes = [0u8; $bytes];
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                    *byte = pair[0] << 4 | pair[1];
                }
                Ok(Self(bytes))
            }
        }
    };
}

hex_id!(
    /// An asset for its whole life, through renames, deletion and restore.
    AssetId,
    16
);
hex_id!(
    /// One version. Strictly increasing in one vault.
    VersionId,
    16
);
hex_id!(
    /// The blake3 hash of a chunk's plain bytes: its name in the store.
    ChunkHash,
    32
);
hex_id!(
    /// One pack in the store.
    PackId,
    16
);

/// A row of the namespace: a directory or an asset. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i64);

/// The directory at the top of every vault.
pub const ROOT: NodeId = NodeId(1);

/// The row of a version. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionSeq(pub i64);

/// The row of a content: a list of chunks that versions share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub i64);

/// The first digits of a version id, as a person types them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionIdPrefix(String);

impl VersionIdPrefix {
    /// True when `id` starts with these digits.
    pub fn matches(&self, id: VersionId) -> bool {
        id.to_string().starts_with(&self.0)
    }

    /// The digits, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VersionIdPrefix {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits = hex_digits(text)?;
        match digits.len() {
            0..=3 => Err(IdError::TooShort(text.into())),
            4..=32 => Ok(Self(text.to_ascii_lowercase())),
            _ => Err(IdError::NotHex(text.into())),
        }
    }
}

fn hex_digits(text: &str) -> Result<Vec<u8>, IdError> {
    text.chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| IdError::NotHex(text.into()))
}

/// Issues version ids and asset ids: UUIDv7 (RFC 9562, section 5.7) whose
/// 74 random bits are counted up where the clock did not move on.
#[derive(Debug)]
pub struct VersionIds {
    last: u128,
}

impl VersionIds {
    /// Ids issued from now on are greater than `last`. `None`: a new vault.
    pub fn after(last: Option<VersionId>) -> Self {
        Self {
            last: last.map_or(0, |id| u128::from_be_bytes(id.0)),
        }
    }

    /// The next id. A clock that stands still or runs backwards does not
    /// disturb the order.
    pub fn next(&mut self, clock: &dyn Clock) -> VersionId {
        let fresh = from_parts(clock.now(), clock.random());
        let id = if fresh > self.last {
            fresh
        } else {
            successor(self.last)
        };
        self.last = id;
        VersionId(id.to_be_bytes())
    }
}

impl VersionId {
    /// The time in it: when it was issued, to the millisecond; later than the clock
    /// said where that ran backwards.
    pub fn issued_at(self) -> Timestamp {
        let millis = (u128::from_be_bytes(self.0) >> 80) as i64;
        Timestamp::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// Not greater than any id that is issued from that time on.
    pub fn first_at(time: Timestamp) -> Self {
        let millis = (time.nanos().max(0) / 1_000_000) as u128;
        Self((millis << 80).to_be_bytes())
    }
}

impl AssetId {
    /// When it was issued, to the millisecond.
    pub fn made_at(self) -> Timestamp {
        VersionId(self.0).issued_at()
    }

    /// A new asset id; ordered in time so that the catalog's index grows at its end.
    pub fn new(clock: &dyn Clock) -> Self {
        Self(from_parts(clock.now(), clock.random()).to_be_bytes())
    }
}

impl PackId {
    /// A new pack id, ordered in time.
    pub fn new(clock: &dyn Clock) -> Self {
        Self(from_parts(clock.now(), clock.random()).to_be_bytes())
    }

    /// When it was made, to the millisecond.
    pub fn made_at(self) -> Timestamp {
        let millis = i64::try_from(u128::from_be_bytes(self.0) >> 80).unwrap_or(0);
        Timestamp::from_nanos(millis.saturating_mul(1_000_000))
    }
}

const VERSION_BITS: u128 = 0x7 << 76;
const VARIANT_BITS: u128 = 0x2 << 62;
const RAND_B: u128 = (1 << 62) - 1;
const RAND_A: u128 = 0xfff << 64;

fn from_parts(now: Timestamp, random: u128) -> u128 {
    let millis = (now.nanos().max(0) / 1_000_000) as u128 & 0xffff_ffff_ffff;
    // The top bit of rand_a starts at zero: room to count up in one millisecond.
    let rand_a = (random >> 2) & RAND_A & !(0x800 << 64);
    millis << 80 | VERSION_BITS | rand_a | VARIANT_BITS | (random & RAND_B)
}

fn successor(id: u128) -> u128 {
    let rand = (id & RAND_B) | ((id & RAND_A) >> 2);
    let next = rand + 1;
    let carry = next >> 74;
    let millis = (id >> 80) + carry;
    millis << 80 | VERSION_BITS | ((next << 2) & RAND_A) | VARIANT_BITS | (next & RAND_B)
}

#[cfg(test)]
mod tests {
    use super::super::clock::ManualClock;
    use super::*;

    #[test]
    fn version_ids_increase_while_the_clock_stands_still_or_runs_backwards() {
        let clock = ManualClock::at_seconds(1_700_000_000);
        let mut ids = VersionIds::after(None);
        let mut last = ids.next(&clock);
        for step in 0..10_000 {
            if step == 5_000 {
                clock.set(Timestamp::from_nanos(1));
            }
            let id = ids.next(&clock);
            assert!(id > last, "{id} after {last}");
            assert!(id.to_string() > last.to_string());
            last = id;
        }
    }

    #[test]
    fn version_ids_continue_after_the_last_one_of_an_earlier_run() {
        let clock = ManualClock::at_seconds(1_700_000_000);
        let far = VersionIds::after(None).next(&ManualClock::at_seconds(1_900_000_000));
        assert!(VersionIds::after(Some(far)).next(&clock) > far);
    }

    #[test]
    fn counting_up_carries_into_the_time_bits_and_keeps_the_uuid_marks() {
        let full = 5u128 << 80 | VERSION_BITS | RAND_A | VARIANT_BITS | RAND_B;
        let next = successor(full);
        assert_eq!(next >> 80, 6);
        let uuid = uuid::Uuid::from_u128(next);
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
    }

    #[test]
    fn a_version_id_tells_when_it_was_issued() {
        let clock = ManualClock::at_seconds(1_700_000_000);
        let mut ids = VersionIds::after(None);
        let id = ids.next(&clock);
        assert_eq!(id.issued_at(), clock.now());
        assert!(VersionId::first_at(clock.now()) <= id);
        assert!(VersionId::first_at(Timestamp::from_parts(1_700_000_001, 0)) > id);
        clock.set(Timestamp::from_nanos(1));
        assert_eq!(ids.next(&clock).issued_at(), id.issued_at());
        assert_eq!(VersionId::first_at(Timestamp::from_nanos(-1)).0, [0; 16]);
    }

    #[test]
    fn ids_read_back_what_they_print_and_refuse_the_rest() {
        let clock = ManualClock::at_seconds(1_700_000_000);
        let id = VersionIds::after(None).next(&clock);
        assert_eq!(id.to_string().parse::<VersionId>(), Ok(id));
        assert!(matches!(
            "0123".parse::<VersionId>(),
            Err(IdError::NotFull(_, 4))
        ));
        assert!(matches!(
            "xyz".parse::<VersionId>(),
            Err(IdError::NotHex(_))
        ));
        assert!(matches!(
            "abc".parse::<VersionIdPrefix>(),
            Err(IdError::TooShort(_))
        ));
        let prefix: VersionIdPrefix = id.to_string()[..8].parse().unwrap();
        assert!(prefix.matches(id));
    }
}
