//! Resizes an image of the model to the input of a feature network.

use image::{ImageBuffer, Luma, Rgb, imageops};

/// Side of the network's input.
pub(super) const SIDE: usize = 224;
/// The filter's name in metric names.
pub const RESIZE: &str = "catmullrom224";

/// An image `[size][size][channels]` in [-1, 1], rounded to bytes as in a saved picture, resized by Catmull-Rom
/// (widened when shrinking) without rounding again, as RGB planes `[3][224][224]`; grey is repeated. Where the filter
/// overshoots at an edge, values are clamped to 0 to 255.
pub(super) fn resized(image: &[f32], size: usize, channels: usize) -> Vec<f32> {
    let unit: Vec<f32> = image.iter().map(|v| ((v.clamp(-1.0, 1.0) + 1.0) * 127.5).round() / 255.0).collect();
    let (from, to, filter) = (size as u32, SIDE as u32, imageops::FilterType::CatmullRom);
    let pixels = if channels == 1 {
        let grey =
            ImageBuffer::<Luma<f32>, _>::from_raw(from, from, unit).map(|i| imageops::resize(&i, to, to, filter));
        grey.map(ImageBuffer::into_raw)
    } else {
        let rgb = ImageBuffer::<Rgb<f32>, _>::from_raw(from, from, unit).map(|i| imageops::resize(&i, to, to, filter));
        rgb.map(ImageBuffer::into_raw)
    };
    let pixels = pixels.unwrap_or_default();
    assert_eq!(pixels.len(), SIDE * SIDE * channels, "{size} x {size} x {channels} pixels");
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

    #[test]
    fn agrees_with_the_kernel_of_catmull_and_rom() {
        // A row with one bright pixel, magnified 14 times: weights (a = -1/2) around it, at the centres of output
        // pixels.
        let mut image = vec![-1.0; 16 * 16];
        (0..16).for_each(|y| image[y * 16 + 8] = 1.0);
        let planes = resized(&image, 16, 1);
        for x in [114usize, 119, 125, 130] {
            let t = ((x as f32 + 0.5) / 14.0 - 0.5 - 8.0).abs();
            let weight = if t < 1.0 { 1.5 * t.powi(3) - 2.5 * t * t + 1.0 } else { 0.0 };
            assert!((planes[100 * SIDE + x] - 255.0 * weight).abs() < 0.5, "{x}: {}", planes[100 * SIDE + x]);
        }
    }
}
