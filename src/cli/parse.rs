//! Parsers of argument values that several verbs share.

use crate::kernels::Class;

pub fn class(name: &str) -> std::result::Result<Class, String> {
    Class::ALL.into_iter().find(|c| c.name() == name).ok_or_else(|| "allowed: tiled, direct".into())
}

/// A duration in seconds, at most an hour.
pub fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(s) if (0.0..=3600.0).contains(&s) => Ok(s),
        _ => Err(format!("`{text}`: a number of seconds from 0 to 3600")),
    }
}
