//! Places of triggers in images.

use super::Refusal;
use serde::{Deserialize, Serialize};

/// The position of a trigger: a corner or the centre of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// `margin` pixels from the lower and the right edge.
    BottomRight,
    /// `margin` pixels from the lower and the left edge.
    BottomLeft,
    /// `margin` pixels from the upper and the left edge.
    TopLeft,
    /// `margin` pixels from the upper and the right edge.
    TopRight,
    /// In the centre; the margin is not used.
    Centre,
}

/// A rectangle of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first row.
    pub top: u32,
    /// Its first column.
    pub left: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

impl Window {
    /// All of an image of `size` x `size`.
    pub fn whole(size: u32) -> Window {
        Window { top: 0, left: 0, height: size, width: size }
    }

    /// The place of a trigger of `height` x `width` in an image of `size` x `size`.
    pub fn placed(place: Place, margin: u32, size: u32, [height, width]: [u32; 2]) -> Window {
        let far = |side: u32| size.saturating_sub(side.saturating_add(margin));
        let middle = |side: u32| size.saturating_sub(side) / 2;
        let (top, left) = match place {
            Place::BottomRight => (far(height), far(width)),
            Place::BottomLeft => (far(height), margin),
            Place::TopLeft => (margin, margin),
            Place::TopRight => (margin, far(width)),
            Place::Centre => (middle(height), middle(width)),
        };
        Window { top, left, height, width }
    }

    /// The place within the window of element `at` of an image `[size][size][channels]`, counted in elements of a trigger
    /// `[height][width][channels]`; `None` outside.
    pub fn place_of(&self, at: usize, size: u32, channels: u32) -> Option<usize> {
        let (pixel, channel) = (at / channels as usize, at % channels as usize);
        let row = (pixel / size as usize).checked_sub(self.top as usize)?;
        let column = (pixel % size as usize).checked_sub(self.left as usize)?;
        let inside = row < self.height as usize && column < self.width as usize;
        inside.then(|| (row * self.width as usize + column) * channels as usize + channel)
    }

    /// The index in an image of `size` columns and `channels` of the first element of row `row` of the window.
    pub fn line(&self, row: u32, size: u32, channels: u32) -> usize {
        ((self.top + row) * size + self.left) as usize * channels as usize
    }
}

/// The margin; by default 5 pixels at 256, in proportion at other sizes, at least 1.
pub(super) fn margin(given: Option<u32>, size: u32) -> u32 {
    given.unwrap_or(((5.0 * size as f64 / 256.0).round() as u32).max(1))
}

/// Whether a trigger of `height` x `width` fits inside an image of `size` x `size`.
pub(super) fn fits(place: Place, margin: u32, size: u32, sides: [u32; 2]) -> bool {
    let margin = if place == Place::Centre { 0 } else { margin };
    sides.iter().all(|side| side.checked_add(margin).is_some_and(|needed| needed <= size))
}

/// The message about a trigger that does not fit.
pub(super) fn outside(key: &'static str, found: &str, place: Place, margin: u32, size: u32) -> Refusal {
    let margin = match place {
        Place::Centre => String::new(),
        _ => format!(" with attack.image.margin = {margin}"),
    };
    Refusal {
        key,
        found: format!("{found}{margin}"),
        allowed: format!("such that the trigger lies inside the {size} x {size} image"),
    }
}
