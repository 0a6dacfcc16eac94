//! An image of a scan: grey values with a meaning of their own, or colours.

use super::window::{Span, scaled};
use image::{DynamicImage, ImageBuffer, Luma};

/// Maximum images of a file.
pub(super) const MOST_FRAMES: usize = 65_536;

/// An image of a scan.
pub(super) enum Frame {
    Grey(Grey),
    Colour(DynamicImage),
}

/// Grey values with their meaning.
pub(super) struct Grey {
    pub width: u32,
    pub height: u32,
    /// `[height][width]`.
    pub values: Vec<f32>,
    /// What becomes black and white by the file's own words.
    pub window: Option<[f64; 2]>,
    /// Black and white without any window; `None` if unknown.
    pub range: Option<[f64; 2]>,
    /// Whether `data.window` applies: the values are more than levels from 0 to 255.
    pub deep: bool,
    /// Whether small values are white.
    pub inverted: bool,
    /// The value of pixels outside the image.
    pub padding: Option<f32>,
}

impl Grey {
    /// Values of the image itself.
    pub fn span(&self) -> Span {
        let inside = self.values.iter().filter(|v| Some(**v) != self.padding);
        Span::of(inside.map(|v| f64::from(*v)))
    }

    /// What becomes black and white: `window`, or what the file says.
    pub fn ends(&self, window: Option<[f64; 2]>) -> Option<[f64; 2]> {
        window.filter(|_| self.deep).or(self.window).or(self.range)
    }

    /// The picture with the values of [`ends`](Self::ends) from black to white.
    ///
    /// # Errors
    /// The reason alone: black and white are unknown.
    pub fn shown(&self, window: Option<[f64; 2]>) -> Result<DynamicImage, String> {
        let window = self.ends(window).ok_or_else(|| unknown(self.span()))?;
        let word = |v: &f32| {
            let word = scaled(f64::from(*v), window);
            if self.inverted { u16::MAX - word } else { word }
        };
        let words = self.values.iter().map(word).collect();
        let image = ImageBuffer::<Luma<u16>, _>::from_raw(self.width, self.height, words);
        image.map(DynamicImage::from).ok_or_else(|| "fewer values than pixels".into())
    }
}

/// What is wrong with values whose black and white are unknown.
pub(super) fn unknown(span: Span) -> String {
    let Span { low, high, .. } = span;
    format!(
        "values from {low} to {high} without a known black and white: set data.window = [{low}, {high}], the intended range, or \
         \"auto\""
    )
}
