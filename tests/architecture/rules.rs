//! The rules of the house as tables, and the check of one file against them.

use std::fmt;

use super::scan::{self, PathRef, Token};

/// Each module, what it may import, and why no more.
pub const LAYERS: [Layer; 14] = [
    layer(
        "model",
        &[],
        "model is plain values that every layer can speak, so it knows none of them",
    ),
    layer(
        "policy",
        &["model"],
        "policy is pure: whoever asks brings the facts",
    ),
    layer(
        "search",
        &["model"],
        "search is pure: whoever asks brings the facts",
    ),
    layer(
        "config",
        &["model", "policy"],
        "config turns text into checked values and starts nothing",
    ),
    layer(
        "notify",
        &["config"],
        "who is told how work ended is no matter of what the work was",
    ),
    layer(
        "catalog",
        &["model"],
        "the catalog keeps facts; rules in it would be written once per database",
    ),
    layer(
        "store",
        &["catalog", "model"],
        "the store keeps bytes and knows neither rules nor names of files",
    ),
    layer(
        "vault",
        &["policy", "store", "catalog", "model", "config"],
        "the rules are tested without FUSE, network and views",
    ),
    layer(
        "history",
        &["vault", "policy", "store", "catalog", "model", "config"],
        "views are plain values that any kernel transport can show",
    ),
    layer(
        "mount",
        &[
            "history", "vault", "policy", "store", "catalog", "model", "config",
        ],
        "the kernel's side is one of several doors: it knows no other door and not who opens it",
    ),
    layer(
        "server",
        &[
            "history", "vault", "policy", "search", "store", "catalog", "model", "config", "notify",
        ],
        "the control socket is one of several doors: it knows no other door and not who opens it",
    ),
    layer(
        "daemon",
        &[
            "server", "mount", "history", "vault", "policy", "search", "store", "catalog", "model",
            "config",
        ],
        "the daemon runs without a command line",
    ),
    layer(
        "cli",
        &[
            "daemon", "server", "mount", "history", "vault", "policy", "search", "store",
            "catalog", "model", "config", "notify",
        ],
        "only main calls commands",
    ),
    layer(
        "main",
        &[
            "cli", "daemon", "server", "mount", "history", "vault", "policy", "search", "store",
            "catalog", "model", "config", "notify",
        ],
        "main is the top",
    ),
];

/// Crates that only some modules may name, and why.
const CRATES: [(&[&str], &[&str], &str); 9] = [
    (
        &["fuser"],
        &["mount"],
        "another kernel transport must be able to take its place",
    ),
    (
        &["rusqlite"],
        &["catalog"],
        "another database must be able to take its place",
    ),
    (
        &["object_store"],
        &["store"],
        "buckets are the store's business; elsewhere content is read by range",
    ),
    (
        &["chacha20poly1305", "argon2"],
        &["store"],
        "what is encrypted, and how, is one place to read and to review",
    ),
    (
        &["rpassword"],
        &["cli"],
        "only a command has a terminal; below it a secret is a value",
    ),
    (
        &["tokio"],
        &["store", "server", "daemon"],
        "the file system's path is synchronous; a runtime in it would hide blocking",
    ),
    (
        &["lettre"],
        &["notify"],
        "mail is one way to tell somebody; a filesystem has no other business with it",
    ),
    (&["axum"], &["server"], "HTTP is one door, not the house"),
    (
        &["clap", "clap_complete", "clap_mangen", "indicatif"],
        &["cli"],
        "below the command line everything is called by values",
    ),
];

/// Verbs of `Vault` that change something. `remove` is told from a map's by its receiver.
const MUTATING_VERBS: [&str; 17] = [
    "before_write",
    "closed",
    "remove",
    "rename",
    "link",
    "override_changed",
    "undelete",
    "directory_changed",
    "attributes_changed",
    "purge",
    "delete_version",
    "restore",
    "place",
    "set_labels",
    "pin",
    "unpin",
    "prune",
];

/// Modules that do no I/O.
const PURE: [&str; 2] = ["policy", "search"];

/// Modules of std through which they could.
const IO_MODULES: [&str; 6] = ["fs", "io", "net", "process", "env", "os"];

const LINES_MAX: usize = 400;
const EMPTY_NAMES: [&str; 7] = [
    "util", "utils", "helper", "helpers", "manager", "managers", "common",
];

pub struct Layer {
    pub name: &'static str,
    pub may_import: &'static [&'static str],
    why: &'static str,
}

const fn layer(
    name: &'static str,
    may_import: &'static [&'static str],
    why: &'static str,
) -> Layer {
    Layer {
        name,
        may_import,
        why,
    }
}

/// One broken rule.
#[derive(Debug)]
pub struct Violation {
    file: String,
    pub line: usize,
    pub what: String,
    why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            what,
            why,
        } = self;
        write!(f, "{file}:{line}: {what}\n    because {why}")
    }
}

/// Checks one file, given by its path from the crate root (`src/vault/mod.rs`).
pub fn check(file: &str, source: &str) -> Vec<Violation> {
    let modules = module_path(file);
    let home = modules.first().copied().unwrap_or("lib");
    let tokens = scan::tokens(source);
    let paths = scan::paths(&tokens);
    let mut broken = Vec::new();
    let mut report = |line, what: String, why: &str| {
        broken.push(Violation {
            file: file.to_owned(),
            line,
            what,
            why: why.to_owned(),
        });
    };
    check_shape(file, source, &mut report);
    for path in &paths {
        check_crates(home, path, &mut report);
        if home != "lib" {
            check_arrow(home, modules.len(), path, &mut report);
        }
        if PURE.contains(&home)
            && path.segments[0] == "std"
            && path
                .segments
                .get(1)
                .is_some_and(|name| IO_MODULES.contains(&name.as_str()))
            && path.segments[1..] != ["os", "unix", "ffi", "OsStrExt"]
        {
            let what = format!("{home} names {}", path.segments.join("::"));
            let why = "it is pure: whoever asks brings the facts";
            report(path.line, what, why);
        }
    }
    if home == "history" {
        check_verbs(&tokens, &mut report);
    }
    broken
}

fn check_shape(file: &str, source: &str, report: &mut dyn FnMut(usize, String, &str)) {
    if !source.starts_with("//!") {
        let why = "a reader learns from it what the file is for before the first line of code";
        report(
            1,
            "the file does not start with a //! header".to_owned(),
            why,
        );
    }
    let lines = source.lines().count();
    if lines > LINES_MAX {
        let what = format!("the file has {lines} lines, more than {LINES_MAX}");
        report(
            LINES_MAX + 1,
            what,
            "a file has one theme that fits in a head: split it by theme",
        );
    }
    let stem = file.trim_end_matches("/mod.rs").trim_end_matches(".rs");
    let stem = stem.rsplit('/').next().unwrap_or(stem);
    if let Some(word) = stem.split('_').find(|word| EMPTY_NAMES.contains(word)) {
        let what = format!("the name says '{word}'");
        report(
            1,
            what,
            "such a name says nothing and so collects everything: name the theme",
        );
    }
}

fn check_crates(home: &str, path: &PathRef, report: &mut dyn FnMut(usize, String, &str)) {
    for (crates, owners, why) in &CRATES {
        if crates.contains(&path.segments[0].as_str()) && !owners.contains(&home) {
            let what = format!(
                "{home} names {}, which only {} may",
                path.segments[0],
                owners.join(", ")
            );
            report(path.line, what, why);
        }
    }
}

fn check_arrow(
    home: &str,
    depth: usize,
    path: &PathRef,
    report: &mut dyn FnMut(usize, String, &str),
) {
    let supers = path
        .segments
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    // A file that stands in for `mod tests` by `#[path]` is one deeper than it looks,
    // so a name that is no module is believed to be a sibling's.
    let (target, certain) = match path.segments[0].as_str() {
        "crate" | "keepfs" => (path.segments.get(1), true),
        "super" if supers >= depth + path.inline_mods => (path.segments.get(supers), false),
        _ => return,
    };
    let Some(target) = target
        .map(String::as_str)
        .filter(|target| *target != "self")
    else {
        return;
    };
    let Some(rule) = LAYERS.iter().find(|layer| layer.name == home) else {
        let why = "every module has its place in the order: add it to LAYERS";
        return report(path.line, format!("module {home} has no layer"), why);
    };
    let known = LAYERS.iter().any(|layer| layer.name == target);
    if known && target != home && !rule.may_import.contains(&target) {
        report(
            path.line,
            format!("{home} → {target} is no arrow"),
            rule.why,
        );
    } else if !known && certain {
        let what = format!("{home} names '{target}' at the crate root, which is no layer");
        report(
            path.line,
            what,
            "what lies at the root escapes the order: import it from its module",
        );
    }
}

fn check_verbs(tokens: &[Token], report: &mut dyn FnMut(usize, String, &str)) {
    for (at, window) in tokens.windows(2).enumerate() {
        let (joint, verb) = (window[0].text.as_str(), window[1].text.as_str());
        if !matches!(joint, "." | "::") || !MUTATING_VERBS.contains(&verb) {
            continue;
        }
        let receiver = at.checked_sub(1).map_or("", |at| tokens[at].text.as_str());
        let on_vault = receiver == ")" || receiver.to_lowercase().contains("vault");
        let called = tokens.get(at + 2).is_some_and(|token| token.text == "(");
        if on_vault || (verb != "remove" && joint == "." && called) {
            let why = "nothing that is done through a history tree can change the vault";
            report(
                window[1].line,
                format!("history calls the mutating verb {verb}"),
                why,
            );
        }
    }
}

/// `src/vault/commit.rs` is `["vault", "commit"]`, `src/lib.rs` is `[]`.
fn module_path(file: &str) -> Vec<&str> {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    inner
        .split('/')
        .filter(|part| !matches!(*part, "mod" | "lib"))
        .collect()
}
