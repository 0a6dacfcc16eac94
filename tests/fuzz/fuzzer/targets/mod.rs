//! The fuzzed decoders. A new file format is one line here.

mod checkpoint;
mod golden;
mod images;
mod json;
mod scans;
mod tensors;
mod toml;

use super::Target;

/// All targets.
pub fn all() -> Vec<Target> {
    let all = [toml::TARGETS, tensors::TARGETS, images::TARGETS, scans::TARGETS];
    [all.concat(), [checkpoint::TARGETS, golden::TARGETS, json::TARGETS].concat()].concat()
}

/// The target with that name.
pub fn find(name: &str) -> Option<Target> {
    all().into_iter().find(|t| t.name == name)
}

/// The origin of inputs in error messages.
const ORIGIN: &str = "fuzz";

/// Bytes as text; readers reject other files before they parse them.
fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}
