//! Resizes images of the model to the input of a feature network.

use image::{ImageBuffer, Luma, Rgb, imageops};
use serde::{Deserialize, Serialize};

/// Side of Lite0's input.
pub(super) const SIDE: usize = 224;
/// The name of Lite0's resizing in metric names.
pub const RESIZE: &str = "catmullrom224";

/// How images are resized; each filter is widened when it shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// Cubic with a = -1/2: `bicubic` of Pillow and clean-fid.
    #[default]
    CatmullRom,
    /// Linear: `bilinear` of Pillow.
    Bilinear,
    /// Lanczos with three lobes.
    Lanczos,
    /// The nearest pixel.
    Nearest,
}

impl Filter {
    /// Every filter's name in experiment files.
    pub const NAMES: [&str; 4] = ["catmull-rom", "bilinear", "lanczos", "nearest"];
}

#[cfg(any(test, feature = "onnx"))]
impl Filter {
    fn kind(self) -> imageops::FilterType {
        match self {
            Filter::CatmullRom => imageops::FilterType::CatmullRom,
            Filter::Bilinear => imageops::FilterType::Triangle,
            Filter::Lanczos => imageops::FilterType::Lanczos3,
            Filter::Nearest => imageops::FilterType::Nearest,
        }
    }

    /// The name in metric names, with the side.
    pub(super) fn with_side(self, side: usize) -> String {
        format!("{}{side}", Filter::NAMES[self as usize].replace('-', ""))
    }

    /// An image `[size][size][channels]` in [-1, 1], rounded to bytes as in a saved picture, resized to
    /// `[side][side][channels]` without rounding again: 0 to 1, beyond that where the filter overshoots at an edge.
    pub(super) fn resized(self, image: &[f32], [size, channels, side]: [usize; 3]) -> Vec<f32> {
        if size == side {
            return units(image).collect();
        }
        // `image` clamps to 0 to 1, which overshoots of half the contrast do not reach.
        let half = units(image).map(|v| 0.5 * v + 0.25).collect();
        interpolated(half, [size, channels, side], self.kind()).into_iter().map(|v| 2.0 * (v - 0.25)).collect()
    }
}

/// The bytes of an image in [-1, 1], as a share of 255.
fn units(image: &[f32]) -> impl Iterator<Item = f32> {
    image.iter().map(|v| ((v.clamp(-1.0, 1.0) + 1.0) * 127.5).round() / 255.0)
}

fn interpolated(unit: Vec<f32>, [size, channels, side]: [usize; 3], filter: imageops::FilterType) -> Vec<f32> {
    let (from, to) = (size as u32, side as u32);
    let pixels = if channels == 1 {
        let grey =
            ImageBuffer::<Luma<f32>, _>::from_raw(from, from, unit).map(|i| imageops::resize(&i, to, to, filter));
        grey.map(ImageBuffer::into_raw)
    } else {
        let rgb = ImageBuffer::<Rgb<f32>, _>::from_raw(from, from, unit).map(|i| imageops::resize(&i, to, to, filter));
        rgb.map(ImageBuffer::into_raw)
    };
    let pixels = pixels.unwrap_or_default();
    assert_eq!(pixels.len(), side * side * channels, "{size} x {size} x {channels} pixels");
    pixels
}

/// The input of Lite0: an image `[size][size][channels]` in [-1, 1], rounded to bytes as in a saved picture, resized by
/// Catmull-Rom (widened when shrinking) without rounding again, as RGB planes `[3][224][224]`; grey is repeated. Where
/// the filter overshoots at an edge, values are clamped to 0 to 255.
pub(super) fn resized(image: &[f32], size: usize, channels: usize) -> Vec<f32> {
    let pixels = interpolated(units(image).collect(), [size, channels, SIDE], imageops::FilterType::CatmullRom);
    let plane = |c: usize| pixels.iter().skip(c).step_by(channels).map(|v| 255.0 * v);
    (0..3).flat_map(|c| plane(c.min(channels - 1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_constants_and_orders_planes() {
        let grey = resized(&[0.2; 16 * 16], 16, 1);
        assert_eq!(grey.len(), 3 * SIDE * SIDE);
        assert!(grey.iter().all(|v| (v - 153.0).abs() < 1e-3), "{}", grey[0]);
        let rgb: Vec<f32> = (0..32 * 32).flat_map(|_| [-1.0, 0.2, 1.0]).collect();
        let planes = resized(&rgb, 32, 3);
        let at = |c: usize| planes[c * SIDE * SIDE + 777];
        assert!(at(0).abs() < 1e-3 && (at(1) - 153.0).abs() < 1e-3 && (at(2) - 255.0).abs() < 1e-3);
    }

    /// A row with one bright pixel, magnified 14 times: weights (a = -1/2) around it, at the centres of output pixels.
    #[test]
    fn agrees_with_the_kernel_of_catmull_and_rom() {
        let mut image = vec![-1.0; 16 * 16];
        (0..16).for_each(|y| image[y * 16 + 8] = 1.0);
        let planes = resized(&image, 16, 1);
        let free = Filter::CatmullRom.resized(&image, [16, 1, SIDE]);
        for x in [90usize, 107, 114, 119, 125, 130] {
            let t = ((x as f32 + 0.5) / 14.0 - 0.5 - 8.0).abs();
            let weight = match t {
                0.0..1.0 => 1.5 * t.powi(3) - 2.5 * t * t + 1.0,
                1.0..2.0 => -0.5 * t.powi(3) + 2.5 * t * t - 4.0 * t + 2.0,
                _ => 0.0,
            };
            let [clamped, free] = [planes[100 * SIDE + x], free[100 * SIDE + x]];
            assert!((clamped - 255.0 * weight.max(0.0)).abs() < 0.5, "{x}: {clamped}");
            assert!((free - weight).abs() < 2e-3, "{x}: {free} for {weight}");
        }
    }

    #[test]
    fn every_filter_keeps_constants_and_equal_sizes() {
        for (filter, name) in
            [Filter::CatmullRom, Filter::Bilinear, Filter::Lanczos, Filter::Nearest].into_iter().zip(Filter::NAMES)
        {
            assert_eq!(serde_json::to_string(&filter).unwrap(), format!("{name:?}"));
            for side in [8, 16, 31] {
                let rgb: Vec<f32> = (0..16 * 16).flat_map(|_| [-1.0, 0.2, 1.0]).collect();
                let pixels = filter.resized(&rgb, [16, 3, side]);
                assert_eq!(pixels.len(), side * side * 3);
                assert!(pixels.chunks(3).all(|p| p[0].abs() < 1e-5 && (p[1] - 0.6).abs() < 1e-5), "{name} {side}");
            }
        }
        assert_eq!(Filter::CatmullRom.with_side(SIDE), RESIZE);
    }
}
