//! What people keep to open a vault's key: a passphrase, a key file, a recovery key.
//!
//! Knows how these look on disk and on paper, not what they open. The surprise: key files
//! and recovery keys are groups of hex digits whose every line has a check of its own, so
//! that a mistyped one names the line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::cipher::{KEY_BYTES, KeyBytes, MasterKey, random_key};
use super::error::{Result, StoreError};

/// No secret's file is longer.
const FILE_BYTES_MAX: u64 = 64 << 10;
const LINE_BYTES: usize = 8;
const CHECK_BYTES: usize = 2;
const GROUP_DIGITS: usize = 4;

/// What opens a vault's key.
#[derive(Clone)]
pub enum Secret {
    /// Somebody remembers it.
    Passphrase(Zeroizing<String>),
    /// What a key file holds.
    KeyFile(KeyBytes),
    /// The vault's key itself.
    Recovery(MasterKey),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind())
    }
}

impl Secret {
    /// What it is called.
    pub fn kind(&self) -> &'static str {
        match self {
            Secret::Passphrase(_) => "passphrase",
            Secret::KeyFile(_) => "key file",
            Secret::Recovery(_) => "recovery key",
        }
    }

    /// A passphrase that somebody typed.
    ///
    /// # Errors
    /// [`StoreError::BadSecret`] when it is empty.
    pub fn passphrase(text: Zeroizing<String>, from: &str) -> Result<Self> {
        match text.is_empty() {
            true => Err(bad(from, "the passphrase is empty")),
            false => Ok(Secret::Passphrase(text)),
        }
    }

    /// The first line of a file.
    ///
    /// # Errors
    /// [`StoreError::BadSecret`].
    pub fn from_passphrase_file(file: &Path) -> Result<Self> {
        let text = read_private(file)?;
        let line = text.lines().next().unwrap_or_default();
        Self::passphrase(Zeroizing::new(line.into()), &file.display().to_string())
    }

    /// What [`create_key_file`] wrote.
    ///
    /// # Errors
    /// [`StoreError::BadSecret`].
    pub fn from_key_file(file: &Path) -> Result<Self> {
        let text = read_private(file)?;
        parse(Form::KeyFile, &text)
            .map(Secret::KeyFile)
            .map_err(|problem| bad(&file.display().to_string(), problem))
    }

    /// What `keepfs key export` printed, with or without its first lines.
    ///
    /// # Errors
    /// [`StoreError::BadSecret`].
    pub fn from_recovery_file(file: &Path) -> Result<Self> {
        Self::from_recovery_text(&read_private(file)?, &file.display().to_string())
    }

    /// The same as text; `from` is named in errors.
    ///
    /// # Errors
    /// [`StoreError::BadSecret`].
    pub fn from_recovery_text(text: &str, from: &str) -> Result<Self> {
        parse(Form::Recovery, text)
            .map(|bytes| Secret::Recovery(MasterKey::from_bytes(bytes)))
            .map_err(|problem| bad(from, problem))
    }
}

/// Makes a key file with a new key, for its owner's eyes.
///
/// # Errors
/// When it is there already, or the disk says no.
pub fn create_key_file(file: &Path) -> Result<Secret> {
    let failed = |error: io::Error| {
        StoreError::Io(format!("making the key file {}: {error}", file.display()))
    };
    let key = random_key()?;
    let mut made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map_err(failed)?;
    let written = made
        .write_all(show(Form::KeyFile, &key).as_bytes())
        .and_then(|()| made.sync_all())
        .and_then(
            |()| match file.parent().filter(|at| !at.as_os_str().is_empty()) {
                Some(directory) => File::open(directory)?.sync_all(),
                None => Ok(()),
            },
        );
    if let Err(error) = written {
        let _ = fs::remove_file(file);
        return Err(failed(error));
    }
    Ok(Secret::KeyFile(key))
}

/// The recovery key of a master key, as `keepfs key export` prints it.
pub(super) fn recovery_text(master: &MasterKey) -> Zeroizing<String> {
    show(Form::Recovery, master.bytes())
}

fn bad(from: &str, problem: impl Into<String>) -> StoreError {
    StoreError::BadSecret {
        from: from.into(),
        problem: problem.into(),
    }
}

fn read_private(file: &Path) -> Result<Zeroizing<String>> {
    let name = file.display().to_string();
    let failed = |error: io::Error| bad(&name, error.to_string());
    let opened = File::open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        let problem = format!("others may read it: chmod 600 {name}");
        return Err(bad(&name, problem));
    }
    let mut text = Zeroizing::new(String::new());
    opened
        .take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

/// What a text of this shape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    KeyFile,
    Recovery,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Form::KeyFile => "key file",
            Form::Recovery => "recovery key",
        }
    }

    fn head(self) -> &'static str {
        match self {
            Form::KeyFile => {
                "# keepfs key file. Whoever has it can read the vault; without it nobody can.\n\
                 # Keep a copy in another place.\n"
            }
            Form::Recovery => {
                "# keepfs recovery key. Whoever has it can read the vault. Write it down, or\n\
                 # print it, and lock it away; --recovery-key FILE takes it.\n"
            }
        }
    }

    /// The check of a line: it tells the forms apart, too.
    fn check(self, number: usize, line: &[u8]) -> [u8; CHECK_BYTES] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.name().as_bytes());
        hasher.update(&[number as u8]);
        hasher.update(line);
        let hash = hasher.finalize();
        [hash.as_bytes()[0], hash.as_bytes()[1]]
    }
}

fn show(form: Form, key: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str(form.head());
    for (number, line) in key.chunks(LINE_BYTES).enumerate() {
        let check = form.check(number, line);
        for (at, byte) in line.iter().chain(&check).enumerate() {
            if at > 0 && (at * 2).is_multiple_of(GROUP_DIGITS) {
                text.push(' ');
            }
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        text.push('\n');
    }
    text
}

/// The key in a text; what is between its digits does not matter.
fn parse(form: Form, text: &str) -> std::result::Result<KeyBytes, String> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut digits = Zeroizing::new(Vec::with_capacity(128));
    for c in lines.flat_map(str::chars) {
        match c.to_digit(16) {
            Some(digit) => digits.push(digit as u8),
            None if c.is_whitespace() || c == '-' => {}
            None => {
                return Err(format!(
                    "is no {}: '{}' is no hex digit",
                    form.name(),
                    c.escape_debug()
                ));
            }
        }
    }
    const LINE_DIGITS: usize = 2 * (LINE_BYTES + CHECK_BYTES);
    const DIGITS: usize = KEY_BYTES / LINE_BYTES * LINE_DIGITS;
    if digits.len() != DIGITS {
        let found = digits.len();
        return Err(format!(
            "is no {}: it has {found} hex digits instead of {DIGITS}",
            form.name()
        ));
    }
    let mut key = KeyBytes::default();
    for (number, line) in digits.chunks(LINE_DIGITS).enumerate() {
        let mut bytes = Zeroizing::new([0; LINE_BYTES + CHECK_BYTES]);
        for (byte, pair) in bytes.iter_mut().zip(line.chunks(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        let (line, check) = bytes.split_at(LINE_BYTES);
        if form.check(number, line) != *check {
            let (name, number) = (form.name(), number + 1);
            return Err(format!(
                "is no {name}, or line {number} of its digits is mistyped"
            ));
        }
        key[number * LINE_BYTES..][..LINE_BYTES].copy_from_slice(line);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEY: [u8; KEY_BYTES] = *b"thirty-two bytes, as a key has..";

    #[test]
    fn a_key_reads_back_however_it_was_copied_from_paper() {
        let shown = show(Form::Recovery, &KEY);
        let digits = shown.lines().filter(|line| !line.starts_with('#'));
        let bare = digits.clone().collect::<Vec<_>>().join("\n");
        for text in [
            shown.to_string(),
            bare.to_uppercase(),
            bare.replace([' ', '\n'], "-"),
            bare.replace([' ', '\n'], ""),
            format!("\r\n  {}\r\n\n", bare.replace('\n', "\r\n\r\n")),
        ] {
            assert_eq!(*parse(Form::Recovery, &text).unwrap(), KEY, "{text}");
        }
        assert_eq!(digits.count(), 4);
    }

    #[test]
    fn a_mistyped_digit_names_its_line_and_a_missing_one_is_counted() {
        let shown = show(Form::Recovery, &KEY).to_string();
        let (head, third) = (shown.lines().take(4), shown.lines().nth(4).unwrap());
        let wrong = third.replacen(char::is_alphanumeric, "f", 1);
        assert_ne!(third, wrong);
        let error = parse(Form::Recovery, &shown.replace(third, &wrong)).unwrap_err();
        assert!(error.contains("line 3 of its digits"), "{error}");
        let cut = head.collect::<Vec<_>>().join("\n");
        let error = parse(Form::Recovery, &cut).unwrap_err();
        assert!(error.contains("40 hex digits instead of 80"), "{error}");
        let error = parse(Form::Recovery, "hello").unwrap_err();
        assert!(error.contains("'h' is no hex digit"), "{error}");
    }

    #[test]
    fn a_key_file_is_no_recovery_key() {
        let error = parse(Form::Recovery, &show(Form::KeyFile, &KEY)).unwrap_err();
        assert!(error.contains("is no recovery key"), "{error}");
    }

    #[test]
    fn a_key_file_is_made_once_for_its_owner_and_refused_when_others_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        let Secret::KeyFile(made) = create_key_file(&file).unwrap() else {
            panic!()
        };
        let Secret::KeyFile(read) = Secret::from_key_file(&file).unwrap() else {
            panic!()
        };
        assert_eq!(made, read);
        create_key_file(&file).unwrap_err();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Secret::from_key_file(&file).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_passphrase_is_the_first_line_and_not_empty() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("passphrase");
        let write = |text: &str| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            Secret::from_passphrase_file(&file)
        };
        let Secret::Passphrase(text) = write(" correct horse \nbattery\n").unwrap() else {
            panic!()
        };
        assert_eq!(*text, " correct horse ");
        let error = write("\n").unwrap_err().to_string();
        assert!(error.contains("empty"), "{error}");
    }
}
