//! Files that people write, wrong ones included; what `init` writes; what flags change.

use tempfile::TempDir;

use super::*;

pub(super) fn vault(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE_NAME), text).unwrap();
    dir
}

pub(super) fn refusal(text: &str) -> String {
    let error = Config::load(vault(text).path()).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn the_bound_of_the_spool_has_two_words() {
    for key in ["spool_bytes_max", "spool_max_bytes"] {
        let dir = vault(&format!("format = 1\n{key} = \"70MiB\"\n"));
        let config = Config::load(dir.path()).unwrap();
        assert_eq!(config.spool_bytes_max, 70 << 20, "{key}");
    }
}

#[test]
fn the_least_file_gives_the_defaults() {
    let dir = vault("format = 1\n");
    let config = Config::load(dir.path()).unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    assert_eq!(config.name, root.file_name().unwrap().to_str().unwrap());
    assert_eq!(config.policy.backup, Override::On);
    assert_eq!(config.live_dir, root.join("live"));
    assert_eq!(config.store.directory(), Some(&*root.join("store")));
    assert_eq!(config.catalog_path, root.join("catalog.db"));
    assert_eq!(config.checkpoint_interval, None);
    assert_eq!(config.commit_interval, Duration::from_millis(200));
    assert_eq!(config.cache_bytes_max, 256 << 20);
    assert_eq!(config.pack_bytes, 16 << 20);
    assert_eq!((config.zstd_level, config.ingest_threads), (3, 2));
    assert_eq!(config.pack_age_max, Duration::from_secs(30));
    config.validate_layout(None).unwrap();
}

#[test]
fn every_key_is_read() {
    let dir = vault(
        r#"format = 1
        name = "photos of Zoë"
        backup = "off"
        live = "/srv/photos"
        store = "file:///srv/packs%20a"
        exclude = ["*.o", "build/"]
        skip_fetched = true
        checkpoint_interval = "15m"
        commit_interval_ms = 1_000
        cache_bytes_max = 67108864
        disk_cache_bytes_max = "0"
        commit = "remote"
        commit_timeout = "10s"
        pack_bytes = "8 MiB"
        zstd_level = 19
        ingest_threads = 64
        pack_age_max = "2h"
        "#,
    );
    let config = Config::load(dir.path()).unwrap();
    assert_eq!(config.name, "photos of Zoë");
    assert_eq!(config.policy.backup, Override::Off);
    assert_eq!(config.policy.exclude, ["*.o", "build/"]);
    assert!(config.policy.skip_fetched);
    assert_eq!(config.live_dir, Path::new("/srv/photos"));
    assert_eq!(config.store.to_string(), "file:///srv/packs%20a");
    assert_eq!(config.checkpoint_interval, Some(Duration::from_secs(900)));
    assert_eq!(config.commit_interval, Duration::from_secs(1));
    assert_eq!(config.cache_bytes_max, 64 << 20);
    assert_eq!(config.disk_cache_bytes_max, 0);
    assert_eq!(config.commit, CommitMode::Remote);
    assert_eq!(config.commit_timeout, Duration::from_secs(10));
    assert_eq!(config.pack_bytes, 8 << 20);
    assert_eq!((config.zstd_level, config.ingest_threads), (19, 64));
    assert_eq!(config.pack_age_max, Duration::from_secs(7200));
}

#[test]
fn wrong_files_are_refused_with_line_key_and_way_out() {
    let table = [
        ("", "line 1: format: is missing: add the line format = 1"),
        (
            "format = 0",
            "line 1: format: there is no format 0: write 1",
        ),
        ("format = \"1\"", "line 1: format: is of type string"),
        (
            "new_key = 1\nformat = 2",
            "line 2: format = 2 was written by a newer keepfs",
        ),
        (
            "format = 1\ncolour = 3",
            "line 2: unknown key 'colour': correct or remove it",
        ),
        (
            "format = 1\n[store]\nurl = 1",
            "line 2: store: is of type table: write text",
        ),
        ("format = 1\n\nname = ", "line 3: "),
        ("format = 1\nformat = 1", "line 2: duplicate key"),
        (
            "format = 1\nname = \"\"",
            "line 2: name: must be one line of text",
        ),
        (
            "format = 1\nbackup = true",
            "line 2: backup: write \"on\" or \"off\"",
        ),
        (
            "format = 1\nlive = \"\"",
            "line 2: live: must be a directory",
        ),
        (
            "format = 1\nstore = \"ftp://b\"",
            "line 2: store: 'ftp://' is no store: write a directory",
        ),
        (
            "format = 1\nexclude = \"*.o\"",
            "line 2: exclude: is of type string: write a list",
        ),
        (
            "format = 1\nexclude = [\n\"a[\"]",
            "line 2: exclude: pattern 'a['",
        ),
        (
            "format = 1\nskip_fetched = 1",
            "line 2: skip_fetched: is of type integer: write true or false",
        ),
        (
            "format = 1\ncheckpoint_interval = \"15\"",
            "line 2: checkpoint_interval: '15' is not a duration",
        ),
        (
            "format = 1\ncommit_interval_ms = 0",
            "line 2: commit_interval_ms: must be from 1 to 60000",
        ),
        (
            "format = 1\ncommit_interval_ms = -5",
            "line 2: commit_interval_ms: must be from 1 to 60000",
        ),
        (
            "format = 1\ncache_bytes_max = \"lots\"",
            "line 2: cache_bytes_max: 'lots' is not a size",
        ),
        (
            "format = 1\ncache_bytes_max = -1",
            "line 2: cache_bytes_max: must not be negative",
        ),
        (
            "format = 1\ndisk_cache_bytes_max = 1000",
            "line 2: disk_cache_bytes_max: 1000 is out of range: must be 0, or from 1MiB",
        ),
        (
            "format = 1\ncommit = \"later\"",
            "line 2: commit: write \"local\" or \"remote\"",
        ),
        (
            "format = 1\ncommit_timeout = \"0s\"",
            "line 2: commit_timeout: must be from 1s to 24h",
        ),
        (
            "format = 1\npack_bytes = \"2GiB\"",
            "line 2: pack_bytes: 2147483648 is out of range",
        ),
        (
            "format = 1\nzstd_level = 20",
            "line 2: zstd_level: 20 is out of range: must be from 1 to 19",
        ),
        (
            "format = 1\ningest_threads = 0",
            "line 2: ingest_threads: 0 is out of range: must be from 1 to 64",
        ),
        (
            "format = 1\npack_age_max = \"0s\"",
            "line 2: pack_age_max: must be at least 1s",
        ),
    ];
    for (text, words) in table {
        let error = refusal(text);
        assert!(error.contains(words), "{text:?}: {error}");
        assert!(error.contains(FILE_NAME), "{error}");
    }
    assert!(refusal("format = 2").ends_with("upgrade"));
}

#[test]
fn a_directory_without_the_file_is_no_vault() {
    let dir = tempfile::tempdir().unwrap();
    for place in [dir.path().to_owned(), dir.path().join("missing")] {
        let place_text = place.display();
        assert_eq!(
            Config::load(&place).unwrap_err().to_string(),
            format!(
                "no keepfs.toml in {place_text}: is it a vault? keepfs init {place_text} makes one"
            )
        );
    }
    fs::write(dir.path().join(FILE_NAME), b"format = 1 # \xff").unwrap();
    let error = Config::load(dir.path()).unwrap_err();
    assert!(matches!(error, ConfigError::NotText { .. }), "{error}");
}

#[test]
fn a_created_file_reads_back_and_explains_every_default() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("new/vault");
    let created = Config::create(&place, &InitOptions::default()).unwrap();
    assert_eq!(Config::load(&place).unwrap(), created);
    assert_eq!(created.name, "vault");
    let names: Vec<_> = fs::read_dir(&place).unwrap().collect();
    assert_eq!(names.len(), 1, "a temporary file was left: {names:?}");

    // Without the '#' in front of its defaults the file says the same, name apart.
    let text = fs::read_to_string(place.join(FILE_NAME)).unwrap();
    let spelled_out: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(default) if !default.starts_with(' ') => format!("{default}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let settings = spelled_out.lines().filter(|line| !line.starts_with('#'));
    let settings = settings.filter(|line| line.contains(" = ")).count();
    assert_eq!(settings, 28, "{spelled_out}");
    fs::write(place.join(FILE_NAME), spelled_out).unwrap();
    let name = "assets".to_owned();
    let mut spelled_out = Config::load(&place).unwrap();
    assert_eq!(spelled_out.mail.take().unwrap().port, 465);
    assert_eq!(spelled_out, Config { name, ..created });
}

#[test]
fn the_mail_settings_are_a_table_with_checked_values() {
    let of = |text: &str| {
        let dir = vault(&format!("format = 1\n[notify]\n{text}"));
        let root = fs::canonicalize(dir.path()).unwrap();
        (Config::load(dir.path()).unwrap().mail.unwrap(), root)
    };
    let least = "smtp_host = \"mx\"\nfrom = \"a@b\"\nto = [\"c@d\", \"e@f\"]\n";
    let (mail, root) = of(least);
    assert_eq!((mail.port, mail.security), (465, SmtpSecurity::Tls));
    assert_eq!((&mail.host[..], &mail.from[..]), ("mx", "a@b"));
    assert_eq!(mail.to, ["c@d", "e@f"]);
    assert_eq!((mail.username, mail.password_file), (None, None));
    assert!(root.is_absolute());
    let (mail, _) = of(&format!("{least}smtp_security = \"starttls\""));
    assert_eq!(mail.port, 587);
    let (mail, root) = of(&format!(
        "{least}smtp_port = 2525\nusername = \"u\"\npassword_file = \"secret\""
    ));
    assert_eq!((mail.port, mail.username), (2525, Some("u".into())));
    assert_eq!(mail.password_file, Some(root.join("secret")));
    for (text, problem) in [
        ("from = \"a@b\"", "line 2: notify.smtp_host: is missing"),
        ("smtp_host = \"mx\"", "line 2: notify.from: is missing"),
        (
            "smtp_host = \"mx\"\nfrom = \"a@b\"\nto = []",
            "line 2: notify.to: is missing",
        ),
        (
            "\nsmtp_port = 0",
            "line 4: notify.smtp_port: must be from 1",
        ),
        ("to = \"a@b\"", "line 3: notify.to: is of type string"),
        ("to = [\"ab\"]", "line 3: notify.to: must be an address"),
        (
            "password = \"x\"",
            "line 3: unknown key 'notify.password': correct or remove it",
        ),
        (
            &format!("{least}username = \"u\"\nsmtp_security = \"off\""),
            "line 2: notify.smtp_security: would send the password in the clear",
        ),
    ] {
        let error = refusal(&format!("format = 1\n[notify]\n{text}"));
        assert!(error.contains(problem), "{error}");
    }
    assert!(refusal("format = 1\nnotify = 3").contains("line 2: notify: is of type integer"));
}

#[test]
fn what_init_was_told_is_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let options = InitOptions {
        name: Some("my \"photos\"".into()),
        backup: Some(Override::Off),
        live: Some("/srv/a b".into()),
        store: Some("../packs".into()),
        exclude: Some(vec!["*.o".into(), "a\\ \"b\"".into()]),
        skip_fetched: Some(true),
        checkpoint_interval: Some(Interval::Every(Duration::from_secs(7200))),
        commit_interval: Some(Duration::from_millis(50)),
        cache_bytes_max: Some(1 << 30),
        pack_bytes: Some(1_000_000),
        zstd_level: Some(9),
        ingest_threads: Some(4),
        pack_age_max: Some(Duration::from_secs(90)),
        encryption: Some(SecretPlace::KeyFile("/etc/keepfs/a key".into())),
    };
    let config = Config::create(dir.path(), &options).unwrap();
    assert_eq!(Config::load(dir.path()).unwrap(), config);
    assert_eq!(config.name, "my \"photos\"");
    assert_eq!(config.live_dir, Path::new("/srv/a b"));
    assert_eq!(config.policy.exclude, options.exclude.unwrap());
    assert_eq!(config.checkpoint_interval, Some(Duration::from_secs(7200)));
    assert_eq!(config.commit_interval, Duration::from_millis(50));
    assert_eq!(config.pack_bytes, 1_000_000);
    assert_eq!(config.pack_age_max, Duration::from_secs(90));
    assert_eq!(config.encryption, options.encryption);

    let again = Config::create(dir.path(), &InitOptions::default()).unwrap_err();
    assert!(matches!(again, ConfigError::VaultExists { .. }), "{again}");
}

#[test]
fn wrong_init_options_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("vault");
    let options = InitOptions {
        zstd_level: Some(20),
        ..InitOptions::default()
    };
    let error = Config::create(&place, &options).unwrap_err().to_string();
    assert!(error.contains("zstd_level: 20 is out of range"), "{error}");
    assert!(!place.exists());
}

#[test]
fn mount_flags_win_when_they_are_in_range() {
    let mut config = Config::load(vault("format = 1").path()).unwrap();
    let before = config.clone();
    let flags = Overrides {
        zstd_level: Some(7),
        ingest_threads: Some(65),
        ..Overrides::default()
    };
    let error = config.apply(&flags).unwrap_err().to_string();
    assert!(
        error.starts_with("ingest_threads: 65 is out of range"),
        "{error}"
    );
    assert_eq!(config, before);
    config
        .apply(&Overrides {
            ingest_threads: Some(8),
            checkpoint_interval: Some(Interval::Every(Duration::from_secs(60))),
            ..flags
        })
        .unwrap();
    assert_eq!((config.zstd_level, config.ingest_threads), (7, 8));
    assert_eq!(config.checkpoint_interval, Some(Duration::from_secs(60)));
}
