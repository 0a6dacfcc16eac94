//! The pictures that triggers are made of.

use crate::data::picture;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The picture of a trigger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Motif<'a> {
    /// A picture, resized to the trigger's sides.
    File(&'a Path),
    /// A built-in RGB pattern.
    Pattern(Pattern),
}

/// The built-in trigger patterns: bright, saturated, and unlike the content of medical images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Red and cyan fields, two by two.
    Checker,
    /// A yellow upright cross on blue.
    Cross,
    /// One magenta square.
    Square,
}

/// The values of the pasted pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Range {
    /// [-1, 1], as the images are.
    Scaled,
    /// [0, 1]: the trigger's pixels without the images' scaling, as in the published code.
    Published,
}

impl<'a> Motif<'a> {
    /// The picture of two options that exclude each other; the checker if both are absent.
    pub fn of(picture: &'a Option<PathBuf>, pattern: Option<Pattern>) -> Motif<'a> {
        let pattern = || Motif::Pattern(pattern.unwrap_or(Pattern::Checker));
        picture.as_deref().map_or_else(pattern, Motif::File)
    }

    /// The picture in RGB, `height` x `width`.
    ///
    /// # Errors
    /// If its file cannot be read or decoded.
    pub fn picture(self, [height, width]: [u32; 2]) -> Result<image::RgbImage> {
        match self {
            Motif::Pattern(pattern) => Ok(pattern.picture([height, width])),
            Motif::File(path) => {
                let picture = picture::read(path).map_err(|what| Error::file(path, what))?.into_rgb8();
                Ok(image::imageops::resize(&picture, width, height, image::imageops::FilterType::CatmullRom))
            }
        }
    }

    /// Its pixels, `[height][width][channels]`, in the values of `range`; one channel takes the luma.
    ///
    /// # Errors
    /// As [`Motif::picture`].
    pub fn pixels(self, sides: [u32; 2], channels: u32, range: Range) -> Result<Vec<f32>> {
        let picture = self.picture(sides)?;
        let bytes = if channels == 1 {
            image::DynamicImage::ImageRgb8(picture).into_luma8().into_raw()
        } else {
            picture.into_raw()
        };
        Ok(bytes
            .into_iter()
            .map(|b| match range {
                Range::Scaled => b as f32 / 127.5 - 1.0,
                Range::Published => b as f32 / 255.0,
            })
            .collect())
    }
}

impl Pattern {
    fn picture(self, [height, width]: [u32; 2]) -> image::RgbImage {
        image::RgbImage::from_fn(width, height, |x, y| {
            let first_half = |v: u32, side: u32| v < side.div_ceil(2);
            let arm = |v: u32, side: u32| 3 * v + 2 >= side && 3 * v < 2 * side;
            image::Rgb(match self {
                Pattern::Checker if first_half(x, width) == first_half(y, height) => [255, 0, 0],
                Pattern::Checker => [0, 255, 255],
                Pattern::Cross if arm(x, width) || arm(y, height) => [255, 255, 0],
                Pattern::Cross => [0, 0, 255],
                Pattern::Square => [255, 0, 255],
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_contrast_and_ranges() {
        let checker = Motif::Pattern(Pattern::Checker);
        let scaled = checker.pixels([4, 4], 3, Range::Scaled).unwrap();
        assert_eq!(scaled.len(), 4 * 4 * 3);
        assert_eq!(scaled[..3], [1.0, -1.0, -1.0]);
        assert_eq!(scaled[6..9], [-1.0, 1.0, 1.0]);
        assert_eq!(checker.pixels([4, 4], 3, Range::Published).unwrap()[..3], [1.0, 0.0, 0.0]);
        assert_eq!(checker.pixels([4, 6], 1, Range::Published).unwrap().len(), 24);
        for side in [2, 4, 16] {
            let cross = Pattern::Cross.picture([side, side]);
            assert!(cross.pixels().any(|c| c.0 == [255, 255, 0]));
            assert_eq!(cross.pixels().any(|c| c.0 == [0, 0, 255]), side > 2, "side {side}");
        }
    }

    #[test]
    fn pictures_come_from_files_and_missing_ones_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.png");
        image::RgbImage::from_pixel(9, 9, image::Rgb([10, 20, 30])).save(&path).unwrap();
        let picture = Motif::File(&path).picture([4, 3]).unwrap();
        assert_eq!((picture.dimensions(), picture.get_pixel(1, 2).0), ((3, 4), [10, 20, 30]));
        let missing = Motif::File(&dir.path().join("none.png")).pixels([4, 4], 3, Range::Scaled).unwrap_err();
        assert!(missing.to_string().contains("none.png") && missing.exit_code() == 2);
        assert_eq!(Motif::of(&None, None), Motif::Pattern(Pattern::Checker));
        assert_eq!(Motif::of(&Some(path.clone()), None), Motif::File(&path));
    }
}
