//! The rows as the table of `docs/configuration.md`.

use super::{Key, ValueKind, all};

/// The rows as a Markdown table.
pub fn markdown() -> String {
    let head = "| key | type and range | default | meaning |\n|---|---|---|---|\n".to_string();
    head + &all().map(line).collect::<String>()
}

fn line(key: &Key) -> String {
    let range = match key.kind {
        ValueKind::Choice(names) => code(names),
        ValueKind::Choices(names) => format!("list of {}", code(names)),
        kind => kind.allowed().trim_start_matches("a ").to_string(),
    };
    let unit = if key.unit.is_empty() { String::new() } else { format!(" ({})", key.unit) };
    let of = key.of.map_or(String::new(), |of| format!("{}: ", code(of.names)));
    format!("| `{}` | {range}{unit} | {} | {of}{} |\n", key.path, key.default.markdown(), key.doc)
}

fn code(names: &[&str]) -> String {
    format!("`{}`", names.join("`, `"))
}
