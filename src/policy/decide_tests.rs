//! Which rule decides, what each rule takes, and that no bytes make it fail.

use proptest::prelude::*;

use super::*;

fn settings(backup: Override, exclude: &[&str]) -> PolicySettings {
    PolicySettings {
        backup,
        exclude: exclude.iter().map(ToString::to_string).collect(),
        skip_fetched: true,
    }
}

fn id(text: &str) -> PublicId {
    PublicId::new(text.as_bytes()).unwrap()
}

#[test]
fn the_most_special_rule_decides() {
    let on = Policy::new(&settings(Override::On, &["*.o"])).unwrap();
    let off = Policy::new(&settings(Override::Off, &["*.o"])).unwrap();
    let directory = id("d");
    let (file_on, file_off) = (Some(Override::On), Some(Override::Off));
    let dir_on = Some((&directory, Override::On));
    let dir_off = Some((&directory, Override::Off));
    let table = [
        // vault, name, file, directory, fetched, verdict, words of the reason
        (
            &on,
            "d/a",
            None,
            None,
            false,
            Kept::Yes,
            "vault's backup is on",
        ),
        (
            &off,
            "d/a",
            None,
            None,
            false,
            Kept::No,
            "vault's backup is off",
        ),
        (
            &off,
            "d/a",
            None,
            dir_on,
            false,
            Kept::Yes,
            "directory 'd' is on",
        ),
        (
            &on,
            "d/a",
            None,
            dir_off,
            false,
            Kept::No,
            "directory 'd' is off",
        ),
        (
            &on,
            "d/a",
            None,
            dir_on,
            true,
            Kept::No,
            "user.xdg.origin.url",
        ),
        (&on, "d/a.o", None, dir_on, true, Kept::No, "pattern '*.o'"),
        (
            &off,
            "d/a.o",
            file_on,
            dir_off,
            true,
            Kept::Yes,
            "file's attribute user.keepfs.backup is on",
        ),
        (
            &on,
            "d/a",
            file_off,
            dir_on,
            false,
            Kept::No,
            "file's attribute user.keepfs.backup is off",
        ),
        (
            &on,
            "d/a.part",
            file_on,
            dir_on,
            false,
            Kept::No,
            "'*.part' is a temporary name of Firefox",
        ),
    ];
    for (policy, name, file_override, directory_override, fetched, kept, words) in table {
        let decision = policy.decide(&Subject {
            id: &id(name),
            file_override,
            directory_override,
            fetched,
        });
        assert_eq!(decision.kept, kept, "{name}: {}", decision.reason);
        let text = decision.reason.to_string();
        assert!(text.contains(words), "{name}: {text}");
        assert!(!text.contains('\n'), "{name}: {text}");
    }
}

#[test]
fn exclude_has_gitignore_syntax() {
    let policy = Policy::new(&settings(
        Override::On,
        &[
            "# derived",
            "",
            "build/",
            "/top.log",
            "**/cache/*",
            "*.o",
            "!keep.o",
            "a b\\ ",
        ],
    ))
    .unwrap();
    let table = [
        ("build/x/y", Some("build/")),
        ("sub/build/x", Some("build/")),
        ("build", None),
        ("top.log", Some("/top.log")),
        ("sub/top.log", None),
        ("sub/cache/x", Some("**/cache/*")),
        ("a.o", Some("*.o")),
        ("a.o/inside", Some("*.o")),
        ("keep.o", None),
        ("a b ", Some("a b\\ ")),
        ("# derived", None),
    ];
    for (name, pattern) in table {
        assert_eq!(policy.excluded_by(&id(name)).as_deref(), pattern, "{name}");
    }
    let bytes = PublicId::new(b"\xff\xfe.o").unwrap();
    assert!(policy.excluded_by(&bytes).is_some());
}

#[test]
fn fetched_files_are_kept_unless_the_vault_skips_them() {
    let policy = Policy::new(&PolicySettings {
        backup: Override::On,
        exclude: Vec::new(),
        skip_fetched: false,
    })
    .unwrap();
    let decision = policy.decide(&Subject {
        id: &id("film.mkv"),
        file_override: None,
        directory_override: None,
        fetched: true,
    });
    assert_eq!(decision.kept, Kept::Yes);
}

#[test]
fn a_bad_pattern_names_itself() {
    for bad in ["a[b", "{a,b", "x[z-a]"] {
        let error = Policy::new(&settings(Override::On, &["fine", bad])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("'{bad}'")), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        patterns in prop::collection::vec("[!a*?.\\[\\]{}/\\\\-]{0,6}", 0..4),
    ) {
        let settings = PolicySettings {
            backup: Override::On,
            exclude: patterns,
            skip_fetched: true,
        };
        if let (Ok(id), Ok(policy)) = (PublicId::new(&bytes), Policy::new(&settings)) {
            let decision = policy.decide(&Subject {
                id: &id,
                file_override: None,
                directory_override: None,
                fetched: false,
            });
            prop_assert!(!decision.reason.to_string().is_empty());
        }
    }
}
