//! The images of an archive, converted to the size of the set.

use super::layout::Layout;
use super::{Archive, NpzOptions, at_end, extent};
use crate::data::dataset::check_bytes;
use crate::data::element::{Element, ElementKind};
use crate::data::fit::{fit, is_coloured};
use crate::data::picture::{MOST_DECODED, MOST_SIDE};
use crate::data::tally::Tally;
use crate::data::window::{Span, Window, Word, narrow, scaled};
use crate::{Error, Result};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use npyz::Order;
use rayon::prelude::*;
use std::io::{Read, Seek};
use std::path::Path;

pub(super) const NAME: &str = "train_images";
/// Bytes of images decompressed at a time; at least one image or volume.
const BLOCK: usize = 4 << 20;
/// Maximum bytes of a volume, whose slices are taken from memory.
const MOST_VOLUME: u64 = 1 << 30;
/// Maximum bytes of an array in Fortran order: its images are interleaved, so it is read completely.
const MOST_WHOLE: u64 = 8 << 30;

/// All images of an array.
pub(super) struct Images {
    pub layout: Layout,
    /// `[items * slices][size][size][channels]`.
    pub pixels: Vec<u8>,
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
}

/// An array of images with a valid header.
struct Source<'a, R: Read + Seek> {
    archive: &'a mut Archive<R>,
    element: Element,
    layout: Layout,
    shape: Vec<usize>,
    /// Bytes of all elements.
    expected: usize,
}

/// The images of `archive` at `size` x `size` with `channels`.
pub(super) fn images(
    archive: &mut Archive<impl Read + Seek>,
    path: &Path,
    size: usize,
    channels: usize,
    options: NpzOptions,
) -> Result<Images> {
    let mut source = Source::open(archive, options.axis).map_err(|what| Error::file(path, what))?;
    let bad = |what: String| Error::file(path, format!("{NAME}: {what}"));
    let layout = source.layout;
    check_bytes(layout.items.saturating_mul(layout.slices), size, channels).map_err(bad)?;
    let span = if source.element.is_byte() { Span::NONE } else { source.span().map_err(bad)? };
    let (window, warning) = resolve(source.element, span, options.window).map_err(bad)?;
    let (mut pixels, mut tally) = (Vec::new(), Tally::default());
    let element = source.element;
    source
        .blocks(|block| {
            let fitted: Vec<(Vec<u8>, bool)> = (0..block.items * layout.slices)
                .into_par_iter()
                .map(|i| {
                    let image = block.image(&layout, element, window, i / layout.slices, i % layout.slices);
                    let image = image.ok_or("an image that does not fit its shape")?;
                    Ok((fit(&image, size, channels), is_coloured(&image)))
                })
                .collect::<Result<_, String>>()?;
            for (image, coloured) in fitted {
                pixels.extend(image);
                tally.images += 1;
                tally.coloured += usize::from(coloured);
            }
            Ok(())
        })
        .map_err(bad)?;
    tally.deep = if window.is_some() { tally.images } else { 0 };
    let shown = window.filter(|_| options.window.is_some());
    let notes = tally.notes(channels, options.window, shown);
    Ok(Images { layout, pixels, notes, warnings: warning.into_iter().collect() })
}

/// The window of values that become black and white (`None`: bytes without conversion), and a warning about it.
fn resolve(element: Element, span: Span, window: Option<Window>) -> Result<(Option<[f64; 2]>, Option<String>), String> {
    if element.is_byte() {
        let idle = window.map(|_| "data.window has no effect: the images have 8 bits".to_string());
        return Ok((None, idle));
    }
    if span.nonfinite {
        return Err("NaN or infinite values".into());
    }
    let Span { low, high, .. } = span;
    let within = |most: f64| low >= 0.0 && high <= most;
    Ok(match (window, element.kind, element.width) {
        (Some(Window::Range(range)), ..) => (Some(range), None),
        (Some(Window::Word(Word::Auto)), ..) => (Some(span.window()), None),
        (None, ElementKind::Bool, _) => (Some([0.0, 1.0]), None),
        (None, ElementKind::Unsigned, 2) => (Some([0.0, 65535.0]), narrow(span)),
        (None, ElementKind::Float, _) if within(1.0) => (Some([0.0, 1.0]), None),
        // Byte values in a wider type.
        (None, ..) if within(255.0) => (Some([0.0, 255.0]), None),
        (None, ..) => {
            return Err(format!(
                "values from {low} to {high} without a known black and white: set data.window = [{low}, {high}], the intended \
                 range, or \"auto\" (0 to 255 and, for floats, 0 to 1 need none)"
            ));
        }
    })
}

/// Some items of the array, or all of them.
struct Block<'a> {
    items: usize,
    bytes: &'a [u8],
}

impl Block<'_> {
    /// One image; `None` if the block is too short for it.
    fn image(
        &self,
        layout: &Layout,
        element: Element,
        window: Option<[f64; 2]>,
        item: usize,
        slice: usize,
    ) -> Option<DynamicImage> {
        let (w, h) = (layout.width as u32, layout.height as u32);
        let places = layout.places(item, slice);
        let Some(window) = window else {
            let bytes: Vec<u8> = places.map(|at| self.bytes.get(at).copied()).collect::<Option<_>>()?;
            return match layout.depth {
                1 => GrayImage::from_raw(w, h, bytes).map(DynamicImage::from),
                _ => RgbImage::from_raw(w, h, bytes).map(DynamicImage::from),
            };
        };
        let value = |at: usize| {
            let bytes = self.bytes.get(at * element.width..(at + 1) * element.width)?;
            Some(scaled(element.number(bytes), window))
        };
        let words: Vec<u16> = places.map(value).collect::<Option<_>>()?;
        match layout.depth {
            1 => ImageBuffer::<Luma<u16>, _>::from_raw(w, h, words).map(DynamicImage::from),
            _ => ImageBuffer::<Rgb<u16>, _>::from_raw(w, h, words).map(DynamicImage::from),
        }
    }
}

impl<'a, R: Read + Seek> Source<'a, R> {
    fn open(archive: &'a mut Archive<R>, axis: Option<u32>) -> Result<Self, String> {
        let file = archive.bytes();
        let npy = archive.array(NAME)?;
        let dtype = npy.dtype();
        let element = Element::of(&dtype);
        let element = element.ok_or_else(|| format!("{NAME} has type {}, expected numbers", dtype.descr()))?;
        let (shape, expected) = extent(&npy, element.width, file).map_err(|what| format!("{NAME}: {what}"))?;
        let fortran = npy.order() == Order::Fortran;
        drop(npy);
        let layout = Layout::of(&shape, fortran, axis).map_err(|what| format!("{NAME} has {what}"))?;
        let (h, w) = (layout.height, layout.width);
        if h.max(w) > MOST_SIDE as usize || (layout.image() * element.width) as u64 > MOST_DECODED {
            return Err(format!(
                "{NAME}: images of {h} x {w}; at most {MOST_SIDE} pixels per side and {MOST_DECODED} bytes are read"
            ));
        }
        let volume = (layout.volume() * element.width) as u64;
        if volume > MOST_VOLUME {
            return Err(format!("{NAME}: volumes of {volume} bytes; at most {MOST_VOLUME} are read"));
        }
        if !layout.streamed && expected as u64 > MOST_WHOLE {
            return Err(format!(
                "{NAME}: {expected} bytes in Fortran order; at most {MOST_WHOLE} are read (C order has no such limit)"
            ));
        }
        Ok(Source { archive, element, layout, shape, expected })
    }

    /// Calls `each` with all items, in order.
    fn blocks(&mut self, mut each: impl FnMut(&Block) -> Result<(), String>) -> Result<(), String> {
        let (items, one) = (self.layout.items, self.layout.volume() * self.element.width);
        let per_block = if self.layout.streamed { (BLOCK / one).max(1) } else { items };
        let (expected, shape) = (self.expected, &self.shape);
        let mut reader = self.archive.array(NAME)?.into_inner();
        let mut block = Vec::new();
        for first in (0..items).step_by(per_block) {
            let count = per_block.min(items - first);
            block.clear();
            reader.by_ref().take((one * count) as u64).read_to_end(&mut block).map_err(|e| e.to_string())?;
            if block.len() != one * count {
                let found = first * one + block.len();
                return Err(format!("{found} bytes of data, shape {shape:?} needs {expected}: a damaged file"));
            }
            each(&Block { items: count, bytes: &block })?;
        }
        at_end(reader, expected)
    }

    /// Smallest and largest value.
    fn span(&mut self) -> Result<Span, String> {
        let (mut span, element) = (Span::NONE, self.element);
        self.blocks(|block| {
            let parts = block.bytes.par_chunks(element.width << 16);
            let of = |part: &[u8]| Span::of(part.chunks_exact(element.width).map(|bytes| element.number(bytes)));
            span = span.and(parts.map(of).reduce(|| Span::NONE, Span::and));
            Ok(())
        })?;
        Ok(span)
    }
}
