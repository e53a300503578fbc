//! The arrows: which module may import which, who may name which crate, and what
//! a source file looks like. Each failure says what broke, where, and why the rule is.
//!
//! To change an arrow, change the tables in `architecture/rules.rs`.

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/scan.rs"]
mod scan;

use std::fs;
use std::path::Path;

use rules::{LAYERS, check};

fn sources(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
            found.push((
                file.to_str().unwrap().to_owned(),
                fs::read_to_string(&path).unwrap(),
            ));
        }
    }
}

#[test]
fn arrows_only_point_down() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    assert!(files.len() > 20, "only {} source files found", files.len());
    files.sort();
    let broken: Vec<String> = files
        .iter()
        .flat_map(|(file, source)| check(file, source))
        .map(|violation| violation.to_string())
        .collect();
    assert!(
        broken.is_empty(),
        "{} broken rules:\n{}",
        broken.len(),
        broken.join("\n")
    );
}

#[test]
fn the_table_of_layers_has_no_cycle_and_no_unknown_name() {
    for (index, layer) in LAYERS.iter().enumerate() {
        for below in layer.may_import {
            let place = LAYERS.iter().position(|other| other.name == *below);
            assert!(
                place.is_some_and(|place| place < index),
                "{} → {below}",
                layer.name
            );
        }
    }
}

/// What the checker says about a snippet: lines and first words.
fn said(file: &str, code: &str) -> Vec<String> {
    check(file, &format!("//! Header.\n{code}"))
        .iter()
        .map(|violation| format!("{}: {}", violation.line, violation.what))
        .collect()
}

#[test]
fn broken_arrows_are_found_however_they_are_written() {
    for (file, code, expected) in [
        (
            "src/model/ids.rs",
            "use crate::vault::Vault;",
            "2: model → vault is no arrow",
        ),
        (
            "src/catalog/mod.rs",
            "use crate::{\n  model::{Name, PublicId},\n  store::Store,\n};",
            "4: catalog → store is no arrow",
        ),
        (
            "src/policy/mod.rs",
            "fn f() -> crate::catalog::Durability {}",
            "2: policy → catalog is no arrow",
        ),
        (
            "src/store/pack.rs",
            "pub(crate) use crate::policy as p;",
            "2: store → policy is no arrow",
        ),
        (
            "src/mount/live/open.rs",
            "use super::super::super::server;",
            "2: mount → server is no arrow",
        ),
        (
            "src/vault/mod.rs",
            "mod tests {\n use super::super::mount::Live;\n}",
            "3: vault → mount is no arrow",
        ),
        (
            "src/server/mod.rs",
            "#[cfg(test)]\nmod tests {\n  fn f() { crate::mount::x() }\n}",
            "4: server → mount is no arrow",
        ),
        (
            "src/config/file.rs",
            "use crate::store::StoreConfig;",
            "2: config → store is no arrow",
        ),
        (
            "src/config.rs",
            "use super::vault::Vault;",
            "2: config → vault is no arrow",
        ),
        (
            "src/store/mod.rs",
            "use crate::config::Config;",
            "2: store → config is no arrow",
        ),
        (
            "src/daemon.rs",
            "const T: &str = \"//\"; use keepfs::cli;",
            "2: daemon → cli is no arrow",
        ),
        (
            "src/vault/mod.rs",
            "use crate::*;",
            "2: vault names '*' at the crate root, which is no layer",
        ),
        (
            "src/extra.rs",
            "use crate::model::Name;",
            "2: module extra has no layer",
        ),
        (
            "src/vault/mod.rs",
            "fn f(e: fuser::Errno) {}",
            "2: vault names fuser, which only mount may",
        ),
        (
            "src/vault/mod.rs",
            "use rusqlite as db;",
            "2: vault names rusqlite, which only catalog may",
        ),
        (
            "src/mount/mod.rs",
            "#[tokio::main]\nfn f() {}",
            "2: mount names tokio, which only store, server, daemon may",
        ),
        (
            "src/main.rs",
            "use {clap::Parser, keepfs::cli};",
            "2: main names clap, which only cli may",
        ),
        (
            "src/policy/mod.rs",
            "use std::{fmt, fs};",
            "2: policy names std::fs",
        ),
        (
            "src/search/parser.rs",
            "use std::net::TcpStream;",
            "2: search names std::net::TcpStream",
        ),
        (
            "src/search/mod.rs",
            "use crate::catalog::Catalog;",
            "2: search → catalog is no arrow",
        ),
        (
            "src/history/at.rs",
            "fn f() { self.vault.remove(a) }",
            "2: history calls the mutating verb remove",
        ),
        (
            "src/history/at.rs",
            "fn f() { v\n.undelete(a) }",
            "3: history calls the mutating verb undelete",
        ),
        (
            "src/history/at.rs",
            "use crate::vault::Vault;\nlet f = Vault::rename;",
            "3: history calls the mutating verb rename",
        ),
        ("src/vault/path_util.rs", "", "1: the name says 'util'"),
        ("src/vault/common/mod.rs", "", "1: the name says 'common'"),
    ] {
        assert_eq!(said(file, code), [expected], "{file}: {code}");
    }
    let long = format!("//! Header.\n{}", "\n".repeat(400));
    assert_eq!(check("src/vault/a.rs", &long)[0].line, 401);
    let message = check("src/vault/a.rs", "fn f() {}\n")[0].to_string();
    assert!(
        message.starts_with("src/vault/a.rs:1: ") && message.contains("because"),
        "{message}"
    );
}

#[test]
fn sound_code_is_not_blamed() {
    for (file, code) in [
        (
            "src/vault/mod.rs",
            "use crate::{catalog::Catalog, model::*, policy, store::{self, Store}};",
        ),
        (
            "src/store/mod.rs",
            "use crate::catalog::SharedCatalog;\nuse object_store::path::Path;",
        ),
        (
            "src/vault/commit.rs",
            "use super::error::Result;\nuse crate::vault::rename;",
        ),
        (
            "src/model/ids.rs",
            "//! [`crate::vault`]\n/* use crate::vault; /* nested */ fuser::x */\n// use fuser::x;",
        ),
        (
            "src/model/ids.rs",
            "const A: &str = \"crate::vault \\\" fuser::x\"; const B: &str = r#\"\" use crate::vault;\"#;",
        ),
        (
            "src/model/ids.rs",
            "fn f<'a>(x: &'a str, c: char) { c == '\"'; c == '\\''; g::<'a>() }",
        ),
        (
            "src/model/ids.rs",
            "mod tests {\n use super::*;\n use super::super::clock::ManualClock;\n}",
        ),
        (
            "src/policy/decide_tests.rs",
            "use super::super::transient::transient_rule;",
        ),
        (
            "src/history/mod.rs",
            "fn f() { self.open.remove(&key); vault.versions(a); closed(1); }",
        ),
        (
            "src/mount/mod.rs",
            "use fuser::{self, Filesystem};\nlet clap = 1; self.tokio.x();",
        ),
        ("src/lib.rs", "pub mod catalog;\npub mod vault;"),
        ("src/main.rs", "fn main() { keepfs::cli::run() }"),
    ] {
        assert_eq!(said(file, code), [""; 0], "{file}: {code}");
    }
}
