//! Mount options: `-o a,b,c=d` as fstab spells them, to one value.
//!
//! Pure. Every option is one row of [`OPTIONS`], which the error message for an
//! unknown word is made of as well.

use std::path::PathBuf;
use std::time::Duration;

/// Who may use the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Audience {
    /// The user that mounted it.
    #[default]
    Owner,
    /// That user and root.
    OwnerAndRoot,
    /// Everybody; the kernel checks modes.
    Everybody,
}

/// Whether the mount can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writing {
    /// Yes.
    #[default]
    ReadWrite,
    /// No: EROFS.
    ReadOnly,
}

/// Whether the history names are in the listing of the mount root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HistoryListing {
    /// Answered on lookup only.
    #[default]
    Hidden,
    /// Listed.
    Visible,
}

/// Something that may be allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Allowed.
    Yes,
    /// Not allowed.
    No,
}

/// How a vault is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOptions {
    /// Who may use it.
    pub audience: Audience,
    /// Read-write or not.
    pub writing: Writing,
    /// Whether the root lists the history names.
    pub history: HistoryListing,
    /// Device nodes work.
    pub devices: Permit,
    /// Set-id bits work.
    pub set_ids: Permit,
    /// Programs can be run.
    pub execution: Permit,
    /// Reading updates access times.
    pub access_times: Permit,
    /// Kernel passthrough, where the kernel and the privilege are there.
    pub passthrough: Permit,
    /// The source in the mount table.
    pub source: String,
    /// How long the kernel may believe a name.
    pub entry_timeout: Duration,
    /// How long the kernel may believe attributes.
    pub attr_timeout: Duration,
    /// Threads that answer requests.
    pub threads: usize,
    /// The vault directory, which `user.keepfs.vault` on the root shows.
    pub vault: PathBuf,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            audience: Audience::default(),
            writing: Writing::default(),
            history: HistoryListing::default(),
            devices: Permit::Yes,
            set_ids: Permit::Yes,
            execution: Permit::Yes,
            access_times: Permit::Yes,
            passthrough: Permit::Yes,
            source: "keepfs".into(),
            entry_timeout: Duration::from_secs(60),
            attr_timeout: Duration::from_secs(60),
            threads: 4,
            vault: PathBuf::new(),
        }
    }
}

/// Why an option string is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No such option.
    #[error("unknown mount option '{word}'; there are: {}", known())]
    Unknown {
        /// As given.
        word: String,
    },
    /// The option is there, the value is not one it takes.
    #[error("mount option '{word}': expected {expected}")]
    BadValue {
        /// As given.
        word: String,
        /// What it takes.
        expected: &'static str,
    },
}

enum Rule {
    /// A word without a value.
    Word(fn(&mut MountOptions)),
    /// `name=value`, with what the value may be.
    Value(&'static str, fn(&mut MountOptions, &str) -> Option<()>),
    /// Words that fstab needs and mount programs leave in.
    Ignored,
}

const OPTIONS: &[(&str, Rule)] = &[
    (
        "allow_other",
        Rule::Word(|o| o.audience = Audience::Everybody),
    ),
    (
        "allow_root",
        Rule::Word(|o| o.audience = Audience::OwnerAndRoot),
    ),
    ("ro", Rule::Word(|o| o.writing = Writing::ReadOnly)),
    ("rw", Rule::Word(|o| o.writing = Writing::ReadWrite)),
    ("dev", Rule::Word(|o| o.devices = Permit::Yes)),
    ("nodev", Rule::Word(|o| o.devices = Permit::No)),
    ("suid", Rule::Word(|o| o.set_ids = Permit::Yes)),
    ("nosuid", Rule::Word(|o| o.set_ids = Permit::No)),
    ("exec", Rule::Word(|o| o.execution = Permit::Yes)),
    ("noexec", Rule::Word(|o| o.execution = Permit::No)),
    ("atime", Rule::Word(|o| o.access_times = Permit::Yes)),
    ("noatime", Rule::Word(|o| o.access_times = Permit::No)),
    (
        "history",
        Rule::Value("visible or hidden", |o, value| {
            o.history = match value {
                "visible" => HistoryListing::Visible,
                "hidden" => HistoryListing::Hidden,
                _ => return None,
            };
            Some(())
        }),
    ),
    (
        "passthrough",
        Rule::Value("on or off", |o, value| {
            o.passthrough = match value {
                "on" => Permit::Yes,
                "off" => Permit::No,
                _ => return None,
            };
            Some(())
        }),
    ),
    (
        "fsname",
        Rule::Value("a name", |o, value| {
            (!value.is_empty()).then(|| o.source = value.into())
        }),
    ),
    (
        "entry_timeout",
        Rule::Value("seconds", |o, value| {
            seconds(value).map(|time| o.entry_timeout = time)
        }),
    ),
    (
        "attr_timeout",
        Rule::Value("seconds", |o, value| {
            seconds(value).map(|time| o.attr_timeout = time)
        }),
    ),
    (
        "threads",
        Rule::Value("a number from 1 to 64", |o, value| {
            let threads = value.parse().ok().filter(|n| (1..=64).contains(n))?;
            o.threads = threads;
            Some(())
        }),
    ),
    // The kernel's permission checks are always on.
    ("default_permissions", Rule::Ignored),
    ("defaults", Rule::Ignored),
    ("auto", Rule::Ignored),
    ("noauto", Rule::Ignored),
    ("user", Rule::Ignored),
    ("nouser", Rule::Ignored),
    ("users", Rule::Ignored),
    ("_netdev", Rule::Ignored),
    ("nofail", Rule::Ignored),
    ("relatime", Rule::Ignored),
];

impl MountOptions {
    /// Reads an option string on top of what is set already. Later words win.
    ///
    /// # Errors
    /// [`OptionError`] names the word, and what there is instead.
    pub fn parse(mut self, text: &str) -> Result<Self, OptionError> {
        for word in text.split(',').filter(|word| !word.is_empty()) {
            self.apply(word)?;
        }
        Ok(self)
    }

    fn apply(&mut self, word: &str) -> Result<(), OptionError> {
        if word.starts_with("x-") {
            return Ok(());
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let rule = OPTIONS.iter().find(|(known, _)| *known == name);
        let bad = |expected| OptionError::BadValue {
            word: word.into(),
            expected,
        };
        match (rule.map(|(_, rule)| rule), value) {
            (None, _) => Err(OptionError::Unknown { word: word.into() }),
            (Some(Rule::Ignored), None) => Ok(()),
            (Some(Rule::Word(set)), None) => {
                set(self);
                Ok(())
            }
            (Some(Rule::Value(expected, set)), Some(value)) => {
                set(self, value).ok_or_else(|| bad(expected))
            }
            (Some(Rule::Value(expected, _)), None) => Err(bad(expected)),
            (Some(Rule::Word(_) | Rule::Ignored), Some(_)) => Err(bad("no value")),
        }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn known() -> String {
    let mut words: Vec<String> = OPTIONS
        .iter()
        .map(|(name, rule)| match rule {
            Rule::Value(..) => format!("{name}="),
            Rule::Word(_) | Rule::Ignored => (*name).into(),
        })
        .collect();
    words.sort();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<MountOptions, OptionError> {
        MountOptions::default().parse(text)
    }

    #[test]
    fn fstab_lines_are_understood() {
        let options = parse(
            "defaults,_netdev,nofail,x-systemd.automount,allow_other,ro,nosuid,nodev,\
             history=visible,fsname=assets,entry_timeout=1.5,attr_timeout=0,threads=2,passthrough=off",
        )
        .unwrap();
        assert_eq!(options.audience, Audience::Everybody);
        assert_eq!(options.writing, Writing::ReadOnly);
        assert_eq!(options.set_ids, Permit::No);
        assert_eq!(options.devices, Permit::No);
        assert_eq!(options.history, HistoryListing::Visible);
        assert_eq!(options.source, "assets");
        assert_eq!(options.entry_timeout, Duration::from_millis(1500));
        assert_eq!(options.attr_timeout, Duration::ZERO);
        assert_eq!(options.threads, 2);
        assert_eq!(options.passthrough, Permit::No);
        assert_eq!(parse("").unwrap(), MountOptions::default());
        assert_eq!(parse("ro,rw").unwrap().writing, Writing::ReadWrite);
    }

    #[test]
    fn an_unknown_option_is_named_together_with_what_there_is() {
        let text = parse("ro,allow_others").unwrap_err().to_string();
        assert!(text.contains("'allow_others'"), "{text}");
        assert!(text.contains("allow_other, "), "{text}");
        assert!(text.contains("history="), "{text}");
    }

    #[test]
    fn values_are_checked() {
        for bad in [
            "history",
            "history=maybe",
            "threads=0",
            "threads=x",
            "entry_timeout=-1",
            "attr_timeout=nan",
            "ro=1",
            "defaults=1",
            "fsname=",
        ] {
            assert!(
                matches!(parse(bad), Err(OptionError::BadValue { .. })),
                "{bad}"
            );
        }
    }
}
