//! Parsers of argument values that several verbs share.

use crate::kernels::Class;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// One of a few words, which the help lists and shells complete.
pub fn word<T: Copy + Send + Sync>(words: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words.iter().map(|(word, _)| *word)).try_map(|given| {
        words.iter().find(|(word, _)| *word == given).map(|(_, value)| *value).ok_or("an unknown word")
    })
}

/// Variants of shaders by name.
pub const CLASSES: &[(&str, Class)] =
    &[(Class::Tiled.name(), Class::Tiled), (Class::Direct.name(), Class::Direct), (Class::Lanes.name(), Class::Lanes)];

/// A duration in seconds, at most an hour.
pub fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(s) if (0.0..=3600.0).contains(&s) => Ok(s),
        _ => Err(format!("`{text}`: a number of seconds from 0 to 3600")),
    }
}

/// A time limit in seconds, above 0 and at most an hour.
pub fn time_limit(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(s) if s > 0.0 && s <= 3600.0 => Ok(s),
        _ => Err(format!("`{text}`: a number of seconds above 0 and at most 3600")),
    }
}
