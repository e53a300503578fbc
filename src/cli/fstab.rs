//! `mount.keepfs SPEC DIR [-sfnv] [-o OPTIONS]`: how mount(8) and fstab call us.

use std::ffi::{OsStr, OsString};

use super::mount::check_options;
use super::start::called_as;
use crate::server::{ErrorCode, Failure};

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Run keepfs with these arguments.
    Run(Vec<OsString>),
    /// Nothing: a rehearsal (`-f`).
    Nothing,
}

/// True when the program was called by the helper's name.
pub fn is_mount_helper(arguments: &[OsString]) -> bool {
    called_as(arguments) == Some(OsStr::new("mount.keepfs"))
}

/// The helper's arguments as those of `keepfs mount`.
pub fn translate(arguments: &[OsString]) -> Result<Task, Failure> {
    let mut places: Vec<&OsString> = Vec::new();
    let mut options: Vec<String> = Vec::new();
    let mut task = Rehearsal::No;
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        let text = argument.to_str().unwrap_or_default();
        let Some(flags) = text.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
            places.push(argument);
            continue;
        };
        for (index, flag) in flags.char_indices() {
            match flag {
                // Sloppy, no mtab, verbose: nothing here depends on them.
                's' | 'n' | 'v' => {}
                'f' => task = Rehearsal::Yes,
                'o' | 't' | 'N' => {
                    let attached = &flags[index + 1..];
                    let value = match attached.is_empty() {
                        false => Some(attached.to_owned()),
                        true => rest
                            .next()
                            .and_then(|next| next.to_str().map(str::to_owned)),
                    };
                    let value = value.ok_or_else(|| usage(&format!("-{flag} needs a value")))?;
                    if flag == 'o' {
                        options.push(value);
                    }
                    break;
                }
                other => return Err(usage(&format!("unknown flag '-{other}'"))),
            }
        }
    }
    let [vault, mountpoint] = places.as_slice() else {
        return Err(usage("a vault and a mountpoint are needed"));
    };
    let options = options.join(",");
    check_options(&options)?;
    if task == Rehearsal::Yes {
        return Ok(Task::Nothing);
    }
    let mut run: Vec<OsString> = vec!["keepfs".into(), "mount".into(), "--quiet".into()];
    if !options.is_empty() {
        run.extend(["-o".into(), options.into()]);
    }
    run.extend(["--".into(), (*vault).clone(), (*mountpoint).clone()]);
    Ok(Task::Run(run))
}

#[derive(Debug, PartialEq, Eq)]
enum Rehearsal {
    Yes,
    No,
}

fn usage(problem: &str) -> Failure {
    Failure::new(
        ErrorCode::BadInput,
        format!("{problem}: mount.keepfs VAULT MOUNTPOINT [-sfnv] [-o OPTIONS]"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> Result<Task, Failure> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert!(is_mount_helper(&arguments));
        translate(&arguments)
    }

    fn run(line: &str) -> Task {
        Task::Run(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn what_mount_8_passes_on_becomes_a_mount_command() {
        for (line, command) in [
            (
                "/sbin/mount.keepfs /srv/v /mnt -o rw,allow_other,backup=off",
                "keepfs mount --quiet -o rw,allow_other,backup=off -- /srv/v /mnt",
            ),
            (
                "mount.keepfs /srv/v /mnt",
                "keepfs mount --quiet -- /srv/v /mnt",
            ),
            (
                "mount.keepfs -sn /srv/v -oro -o noexec /mnt -v -t keepfs",
                "keepfs mount --quiet -o ro,noexec -- /srv/v /mnt",
            ),
        ] {
            assert_eq!(translated(line).unwrap(), run(command), "{line}");
        }
    }

    #[test]
    fn a_rehearsal_checks_the_options_and_does_nothing() {
        let fake = translated("mount.keepfs /srv/v /mnt -f -o ro").unwrap();
        assert_eq!(fake, Task::Nothing);
        let error = translated("mount.keepfs /srv/v /mnt -f -o bogus").unwrap_err();
        assert!(error.message.contains("'bogus'"), "{error}");
    }

    #[test]
    fn what_it_does_not_know_is_refused_with_the_usage() {
        for line in [
            "mount.keepfs /srv/v",
            "mount.keepfs a b c",
            "mount.keepfs a b -x",
            "mount.keepfs a b -o",
        ] {
            let error = translated(line).unwrap_err();
            assert_eq!(error.code, ErrorCode::BadInput);
            assert!(
                error.message.contains("mount.keepfs VAULT MOUNTPOINT"),
                "{error}"
            );
        }
    }
}
