//! The command line as people see it: help texts as snapshots, wrong usage as one line.

use clap::{CommandFactory, Parser};

use super::arguments::Arguments;
use super::{exit, usage};

#[test]
fn the_grammar_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn help_texts_are_what_was_reviewed() {
    let mut command = Arguments::command().term_width(100);
    insta::assert_snapshot!("help", command.render_long_help().to_string());
    for name in [
        "mount", "restore", "umount", "backup", "check", "purge", "pin", "prune", "rebuild",
        "usage", "init", "key",
    ] {
        let mut arguments = Arguments::command().term_width(100);
        arguments.build();
        let found = arguments.find_subcommand_mut(name).unwrap();
        let text = found.render_long_help().to_string();
        insta::assert_snapshot!(format!("help_{name}"), text);
    }
    let mut arguments = Arguments::command().term_width(100);
    arguments.build();
    let store = arguments.find_subcommand_mut("store").unwrap();
    let migrate = store.find_subcommand_mut("migrate").unwrap();
    insta::assert_snapshot!("help_store_migrate", migrate.render_long_help().to_string());
}

#[test]
fn every_command_has_an_example_and_the_exit_codes_are_in_the_help() {
    let command = Arguments::command();
    for sub in command.get_subcommands() {
        let after = sub
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(after.contains("Example"), "{}", sub.get_name());
        assert!(sub.get_about().is_some(), "{}", sub.get_name());
    }
    let help = command.get_after_help().unwrap().to_string();
    assert!(help.ends_with(&exit::table()), "{help}");
}

#[test]
fn wrong_usage_is_one_line_that_names_the_word_and_the_way_out() {
    for (line, expected) in [
        (
            "keepfs frobnicate",
            "unrecognized subcommand 'frobnicate'; see keepfs --help",
        ),
        (
            "keepfs resto a",
            "unrecognized subcommand 'resto'; did you mean restore?; see keepfs --help",
        ),
        (
            "keepfs mount a b --bogus",
            "unexpected argument '--bogus' found; see keepfs mount --help",
        ),
        (
            "keepfs mount a",
            "<MOUNTPOINT> is missing; see keepfs mount --help",
        ),
        ("keepfs", "what to do is missing; see keepfs --help"),
        (
            "keepfs mount a b --backup maybe",
            "invalid value 'maybe' for '--backup <on|off>': write on or off; see keepfs --help",
        ),
    ] {
        let error = Arguments::try_parse_from(line.split(' ')).unwrap_err();
        assert_eq!(usage::one_line(&error), expected);
    }
}
