//! The blended picture (Chen, Liu, Li, Lu, Song 2017, "Targeted backdoor attacks on deep learning systems using data poisoning").

use super::motif::{Motif, Pattern, Range};
use super::patch::Pasted;
use super::{ImageAttack, Trigger, Window, options};
use crate::Result;
use crate::key::Key;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// x = (1 - alpha) x + alpha t with a picture t of the images' size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blend {
    /// The picture; excludes `pattern`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<PathBuf>,
    /// A built-in pattern; absent with a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Share of the picture.
    pub alpha: f64,
}

const KIND: &[&str] = &["blend"];

pub(super) const OPTIONS: &[Key] = &[
    options::picture(KIND, "picture that is blended in, resized to the images; excludes `attack.image.pattern`"),
    options::pattern(KIND, "built-in pattern that is blended in; excludes `attack.image.picture`"),
    options::alpha(KIND, 0.2, "share of the picture: (1 - alpha) image + alpha picture"),
];

impl ImageAttack for Blend {
    fn knowledge(&self) -> &'static str {
        "its own images"
    }

    fn motif(&self, size: u32) -> Option<(Motif<'_>, [u32; 2])> {
        Some((Motif::of(&self.picture, self.pattern), [size, size]))
    }

    fn trigger(&self, size: u32, channels: u32, _malicious: usize) -> Result<Box<dyn Trigger>> {
        let motif = Motif::of(&self.picture, self.pattern);
        let pixels = motif.pixels([size, size], channels, Range::Scaled)?;
        Ok(Box::new(Pasted { pixels, window: Window::whole(size), opacity: self.alpha, size, channels }))
    }
}
