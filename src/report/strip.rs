//! Samples of several generators side by side, with the window of the trigger enlarged below each image.

use super::picture::{self, side_by_side};
use crate::{Error, Result};
use image::{Rgb, RgbImage};

/// Side of an image, and of the enlarged window below it, in pixels of the strip.
const TILE: u32 = 96;
/// Pixels between two tiles.
const GAP: u32 = 4;
/// Colour around the window; it does not occur in medical images.
const MARK: Rgb<u8> = Rgb([255, 138, 61]);
const BACKGROUND: Rgb<u8> = Rgb([96, 96, 104]);

/// The samples of one generator.
#[derive(Clone, Copy, Debug)]
pub struct Panel<'a> {
    /// The label above them.
    pub label: &'a str,
    /// `[n][size][size][channels]`, values in [-1, 1].
    pub images: &'a [f32],
}

/// A square window of an image, in the image's pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Its upper edge.
    pub top: u32,
    /// Its left edge.
    pub left: u32,
    /// Its side.
    pub side: u32,
}

impl Window {
    /// The window of a trigger at (`top`, `left`) with `side` pixels, with a border of its own size as far as the image of
    /// `size` x `size` pixels has one.
    pub fn around((top, left): (u32, u32), side: u32, size: u32) -> Window {
        let whole = (3 * side).max(8).min(size);
        let start = |at: u32| at.saturating_sub((whole - side.min(whole)) / 2).min(size - whole);
        Window { top: start(top), left: start(left), side: whole }
    }
}

/// The panels side by side; each has a row of images and a row of their windows.
///
/// # Errors
/// [`Error::Internal`] without panels, or if the images do not have `size` and `channels`.
pub fn strip(panels: &[Panel], size: usize, channels: usize, window: Window) -> Result<RgbImage> {
    let pictures: Vec<RgbImage> =
        panels.iter().map(|panel| tiles(panel.images, size, channels, window)).collect::<Result<_>>()?;
    let parts: Vec<(&str, &RgbImage)> = panels.iter().map(|p| p.label).zip(&pictures).collect();
    side_by_side(&parts)
}

/// A row of images and below it a row of their windows.
///
/// # Errors
/// [`Error::Internal`] if the images do not have `size` and `channels`.
pub fn tiles(images: &[f32], size: usize, channels: usize, window: Window) -> Result<RgbImage> {
    let words = size * size * channels;
    if words == 0 || images.is_empty() || !images.len().is_multiple_of(words) {
        return Err(Error::internal(format!(
            "strip: {} values are no images of {size} x {size} x {channels}",
            images.len()
        )));
    }
    let columns = (images.len() / words) as u32;
    let mut canvas = RgbImage::from_pixel(columns * (TILE + GAP) + GAP, 2 * (TILE + GAP) + GAP, BACKGROUND);
    for (column, image) in images.chunks_exact(words).enumerate() {
        let image = picture::single(image, size, channels)?;
        let left = GAP + column as u32 * (TILE + GAP);
        let whole = Window { top: 0, left: 0, side: size as u32 };
        enlarge(&mut canvas, &image, whole, (GAP, left));
        frame(&mut canvas, window, size as u32, (GAP, left));
        enlarge(&mut canvas, &image, window, (2 * GAP + TILE, left));
    }
    Ok(canvas)
}

/// Paints a window of `image` as a tile, pixel by pixel (nearest neighbour).
fn enlarge(canvas: &mut RgbImage, image: &RgbImage, window: Window, (top, left): (u32, u32)) {
    for y in 0..TILE {
        for x in 0..TILE {
            let at = |offset: u32, start: u32| start + offset * window.side / TILE;
            canvas.put_pixel(left + x, top + y, *image.get_pixel(at(x, window.left), at(y, window.top)));
        }
    }
}

/// Draws a line around the window on the tile of the whole image.
fn frame(canvas: &mut RgbImage, window: Window, size: u32, (top, left): (u32, u32)) {
    let edge = |at: u32| (at * TILE / size).min(TILE - 1);
    let (y0, y1) = (edge(window.top), edge(window.top + window.side));
    let (x0, x1) = (edge(window.left), edge(window.left + window.side));
    for x in x0..=x1 {
        [y0, y1].into_iter().for_each(|y| canvas.put_pixel(left + x, top + y, MARK));
    }
    for y in y0..=y1 {
        [x0, x1].into_iter().for_each(|x| canvas.put_pixel(left + x, top + y, MARK));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_surround_the_trigger_and_stay_inside() {
        assert_eq!(Window::around((29, 29), 2, 32), Window { top: 24, left: 24, side: 8 });
        assert_eq!(Window::around((1, 15), 2, 32), Window { top: 0, left: 12, side: 8 });
        assert_eq!(Window::around((100, 200), 10, 256), Window { top: 90, left: 190, side: 30 });
        assert_eq!(Window::around((0, 0), 9, 4), Window { top: 0, left: 0, side: 4 });
    }

    #[test]
    fn the_window_is_enlarged_below_its_image() {
        // Black, with a white pixel at the trigger's place.
        let mut image = vec![-1.0; 32 * 32];
        image[30 * 32 + 30] = 1.0;
        let window = Window::around((29, 29), 2, 32);
        let picture = tiles(&[image.clone(), image].concat(), 32, 1, window).unwrap();
        assert_eq!(picture.dimensions(), (2 * 100 + 4, 2 * 100 + 4));
        let white = |x: u32, y: u32| picture.get_pixel(x, y).0 == [255; 3];
        // 3 x 3 pixels of the tile above, 12 x 12 of the window below: pixel 6 of 8 in both directions.
        assert!(white(4 + 91, 4 + 91) && white(104 + 91, 4 + 91));
        assert!(white(4 + 72, 104 + 72) && white(4 + 83, 104 + 83) && !white(4 + 84, 104 + 83));
        assert_eq!(picture.get_pixel(4 + 72, 4 + 80).0, MARK.0);
        assert!(strip(&[], 32, 1, window).is_err());
        assert!(tiles(&[0.0; 5], 32, 1, window).is_err());
    }
}
