//! The patch attack: which clients are malicious, what they paste into their real images, and where.

use super::OnUpdate;
use crate::data::picture;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The trigger that a malicious client pastes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// A picture, resized to the trigger's side.
    Image(PathBuf),
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

/// The position of the trigger: a corner or the centre of the image.
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

/// The values of the pasted pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Range {
    /// [-1, 1], as the images are.
    Scaled,
    /// [0, 1]: the trigger's pixels without the images' scaling, as in the published code.
    Published,
}

/// A resolved patch attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Patch {
    /// Malicious clients, ascending; empty in an honest run.
    pub malicious: Vec<u32>,
    /// The trigger that they paste.
    pub trigger: Trigger,
    /// Side of the trigger in pixels.
    pub side: u32,
    /// Pixels between the trigger and the image's edges.
    pub margin: u32,
    /// Position of the trigger.
    pub place: Place,
    /// Share of a malicious client's real images that carry the trigger, 0 to 1.
    pub fraction: f64,
    /// 1 replaces the pixels, below 1 blends: (1 - opacity) image + opacity trigger.
    pub opacity: f64,
    /// Values of the pasted pixels.
    pub range: Range,
    /// First round, counted from 0, in which the attack is active.
    pub start_round: u32,
    /// The attack on the updates that malicious clients send.
    pub update: OnUpdate,
}

impl Patch {
    /// An opaque checker of 2 x 2 pixels, one pixel from the bottom right corner, in all real images of the `malicious` clients
    /// from the first round on; updates are sent unchanged.
    pub fn checker(malicious: Vec<u32>) -> Patch {
        Patch {
            malicious,
            trigger: Trigger::Pattern(Pattern::Checker),
            side: 2,
            margin: 1,
            place: Place::BottomRight,
            fraction: 1.0,
            opacity: 1.0,
            range: Range::Scaled,
            start_round: 0,
            update: OnUpdate::default(),
        }
    }

    /// The trigger's upper left pixel in an image of `size` x `size`: (top, left).
    pub fn corner(&self, size: u32) -> (u32, u32) {
        let far = size.saturating_sub(self.side.saturating_add(self.margin));
        let middle = size.saturating_sub(self.side) / 2;
        match self.place {
            Place::BottomRight => (far, far),
            Place::BottomLeft => (far, self.margin),
            Place::TopLeft => (self.margin, self.margin),
            Place::TopRight => (self.margin, far),
            Place::Centre => (middle, middle),
        }
    }

    /// Whether the trigger fits inside an image of `size` x `size`.
    pub fn fits(&self, size: u32) -> bool {
        let margin = if self.place == Place::Centre { 0 } else { self.margin };
        self.side.checked_add(margin).is_some_and(|needed| needed <= size)
    }

    /// Pastes the trigger on images `[n][size][size][channels]` in [-1, 1], as the kernel `paste_trigger` does on the device.
    ///
    /// # Errors
    /// As [`Patch::pixels`].
    pub fn paste(&self, images: &mut [f32], size: usize, channels: usize) -> Result<()> {
        let (pixels, side, opacity) = (self.pixels(channels as u32)?, self.side as usize, self.opacity as f32);
        let (top, left) = self.corner(size as u32);
        for image in images.chunks_exact_mut(size * size * channels) {
            for (at, trigger) in pixels.iter().enumerate() {
                let (y, x, c) = (at / (side * channels), at / channels % side, at % channels);
                let pixel = &mut image[((top as usize + y) * size + left as usize + x) * channels + c];
                *pixel = (1.0 - opacity) * *pixel + opacity * trigger;
            }
        }
        Ok(())
    }

    /// The pixels to paste, `[side][side][channels]`, in the values of [`Patch::range`]; one channel takes the luma.
    ///
    /// # Errors
    /// If the trigger's picture cannot be read.
    pub fn pixels(&self, channels: u32) -> Result<Vec<f32>> {
        let picture = self.trigger.picture(self.side)?;
        let bytes = if channels == 1 {
            image::DynamicImage::ImageRgb8(picture).into_luma8().into_raw()
        } else {
            picture.into_raw()
        };
        Ok(bytes
            .into_iter()
            .map(|b| match self.range {
                Range::Scaled => b as f32 / 127.5 - 1.0,
                Range::Published => b as f32 / 255.0,
            })
            .collect())
    }
}

impl Trigger {
    /// The trigger as an RGB picture of `side` x `side`.
    ///
    /// # Errors
    /// If the picture's file cannot be read or decoded.
    pub fn picture(&self, side: u32) -> Result<image::RgbImage> {
        match self {
            Trigger::Pattern(pattern) => Ok(pattern.picture(side)),
            Trigger::Image(path) => {
                let picture = picture::read(path).map_err(|what| Error::file(path, what))?.into_rgb8();
                Ok(image::imageops::resize(&picture, side, side, image::imageops::FilterType::CatmullRom))
            }
        }
    }
}

impl Pattern {
    fn picture(self, side: u32) -> image::RgbImage {
        image::RgbImage::from_fn(side, side, |x, y| {
            let half = side.div_ceil(2);
            let arm = |v: u32| 3 * v + 2 >= side && 3 * v < 2 * side;
            image::Rgb(match self {
                Pattern::Checker if (x < half) == (y < half) => [255, 0, 0],
                Pattern::Checker => [0, 255, 255],
                Pattern::Cross if arm(x) || arm(y) => [255, 255, 0],
                Pattern::Cross => [0, 0, 255],
                Pattern::Square => [255, 0, 255],
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(trigger: Trigger) -> Patch {
        Patch { trigger, side: 4, margin: 3, ..Patch::checker(vec![0]) }
    }

    #[test]
    fn lies_where_it_is_told() {
        let mut p = patch(Trigger::Pattern(Pattern::Square));
        let corner = |p: &mut Patch, place| {
            p.place = place;
            p.corner(32)
        };
        assert_eq!(corner(&mut p, Place::BottomRight), (25, 25));
        assert_eq!(corner(&mut p, Place::BottomLeft), (25, 3));
        assert_eq!(corner(&mut p, Place::TopLeft), (3, 3));
        assert_eq!(corner(&mut p, Place::TopRight), (3, 25));
        assert!(!p.fits(6) && p.fits(7));
        assert_eq!(corner(&mut p, Place::Centre), (14, 14));
        assert!(p.fits(4) && !p.fits(3));
        p.side = u32::MAX;
        p.place = Place::TopLeft;
        assert!(!p.fits(32));
    }

    #[test]
    fn patterns_have_contrast_and_ranges() {
        let mut p = patch(Trigger::Pattern(Pattern::Checker));
        let scaled = p.pixels(3).unwrap();
        assert_eq!(scaled.len(), 4 * 4 * 3);
        assert_eq!(scaled[..3], [1.0, -1.0, -1.0]);
        assert_eq!(scaled[6..9], [-1.0, 1.0, 1.0]);
        p.range = Range::Published;
        assert_eq!(p.pixels(3).unwrap()[..3], [1.0, 0.0, 0.0]);
        assert_eq!(p.pixels(1).unwrap().len(), 16);
        for side in [2, 4, 16] {
            let cross = Pattern::Cross.picture(side);
            assert!(cross.pixels().any(|c| c.0 == [255, 255, 0]));
            assert_eq!(cross.pixels().any(|c| c.0 == [0, 0, 255]), side > 2, "side {side}");
        }
    }

    #[test]
    fn pictures_come_from_files_and_missing_ones_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.png");
        image::RgbImage::from_pixel(9, 9, image::Rgb([10, 20, 30])).save(&path).unwrap();
        let p = patch(Trigger::Image(path));
        assert_eq!(p.trigger.picture(4).unwrap().get_pixel(1, 2).0, [10, 20, 30]);
        let missing = patch(Trigger::Image(dir.path().join("none.png"))).pixels(3).unwrap_err();
        assert!(missing.to_string().contains("none.png") && missing.exit_code() == 2);
    }
}
