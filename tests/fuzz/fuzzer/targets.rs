//! The decoders that are fuzzed. A new file format is a line here.

mod checkpoint;
mod golden;
mod images;
mod json;
mod tensors;
mod toml;

use super::Target;

/// All targets.
pub fn all() -> Vec<Target> {
    [toml::TARGETS, tensors::TARGETS, images::TARGETS, checkpoint::TARGETS, golden::TARGETS, json::TARGETS].concat()
}

/// The target of that name.
pub fn find(name: &str) -> Option<Target> {
    all().into_iter().find(|t| t.name == name)
}

/// Where inputs come from, as errors name it.
const ORIGIN: &str = "fuzz";

/// Bytes as a text; readers refuse other files before they look at them.
fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}
