//! What clap says of wrong arguments, as one line with the way out.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The line for standard error.
pub fn one_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let first = rendered
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("wrong arguments");
    let mut text = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        text = "what to do is missing".into();
    }
    if error.kind() == ErrorKind::MissingRequiredArgument
        && let Some(missing) = strings(error.get(ContextKind::InvalidArg))
    {
        text = format!("{} is missing", missing.join(" "));
    }
    let suggestions = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ];
    let similar = suggestions
        .into_iter()
        .find_map(|kind| strings(error.get(kind)).filter(|found| !found.is_empty()));
    if let Some(similar) = similar {
        text.push_str(&format!("; did you mean {}?", similar.join(" or ")));
    }
    let command = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => command_of(&usage.to_string()),
        _ => "keepfs".into(),
    };
    format!("{text}; see {command} --help")
}

fn strings(value: Option<&ContextValue>) -> Option<Vec<String>> {
    match value? {
        ContextValue::String(text) => Some(vec![text.clone()]),
        ContextValue::Strings(texts) => Some(texts.clone()),
        _ => None,
    }
}

/// `keepfs mount` of `Usage: keepfs mount [OPTIONS] <VAULT>`.
fn command_of(usage: &str) -> String {
    let words = usage
        .trim()
        .trim_start_matches("Usage:")
        .split_whitespace()
        .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    let command = words.collect::<Vec<_>>().join(" ");
    match command.is_empty() {
        true => "keepfs".into(),
        false => command,
    }
}
