//! MedMNIST `.npz` files: `train_images` and `train_labels`.
//!
//! Images are decompressed, resized and dropped in small blocks, so that memory follows the set that is made, not the file.

mod archive;

use super::dataset::{Dataset, check_bytes, check_shape};
use super::fit::fit;
use super::picture::{MOST_DECODED, MOST_RATIO, MOST_SIDE, SMALL};
use crate::{Error, Result};
use archive::Archive;
use image::{DynamicImage, GrayImage, RgbImage};
use npyz::{DType, Endianness, NpyFile, Order, TypeChar};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

/// Bytes of images that are decompressed at once; at least one image is.
const BLOCK: usize = 4 << 20;

/// An array as stored: its element type, shape and bytes in C order.
struct Array {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// The training images of a MedMNIST file: `train_images` u8 `[n, h, w]` or `[n, h, w, 3]`, `train_labels` any integer
/// type, `[n]` or `[n, 1]`. Classes are the distinct labels, ascending, named by their value.
///
/// # Errors
/// A missing file or array, another element type or shape, counts that differ, a damaged archive, a set larger than allowed.
pub fn npz(path: &Path, size: usize, channels: usize) -> Result<Dataset> {
    let file = File::open(path).map_err(|e| Error::file(path, format!("cannot be read as .npz: {e}")))?;
    decode(BufReader::new(file), path, size, channels)
}

/// [`npz`] from bytes; `path` is named in errors.
///
/// # Errors
/// As [`npz`].
pub fn decode(reader: impl Read + Seek, path: &Path, size: usize, channels: usize) -> Result<Dataset> {
    check_shape(size, channels)?;
    let mut archive = Archive::new(reader).map_err(|e| Error::file(path, format!("cannot be read as .npz: {e}")))?;
    let (n, pixels) = images(&mut archive, path, size, channels)?;
    let values = labels(&array(&mut archive, path, "train_labels", n)?, path, n)?;
    let distinct: Vec<i128> = BTreeSet::from_iter(values.iter().copied()).into_iter().collect();
    let labels = values.iter().map(|v| distinct.partition_point(|d| d < v) as u32).collect();
    let stem = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Dataset {
        size,
        channels,
        pixels,
        labels,
        classes: distinct.iter().map(ToString::to_string).collect(),
        files: (0..n).map(|i| format!("{stem}:train_images[{i}]")).collect(),
    })
}

/// Number of images, and all of them at `size` x `size` with `channels`.
fn images(
    archive: &mut Archive<impl Read + Seek>,
    path: &Path,
    size: usize,
    channels: usize,
) -> Result<(usize, Vec<u8>)> {
    const NAME: &str = "train_images";
    let file = archive.bytes();
    let npy = archive.array(NAME).map_err(|what| Error::file(path, what))?;
    let dtype = npy.dtype();
    if !matches!(&dtype, DType::Plain(t) if t.type_char() == TypeChar::Uint && t.size_field() == 1) {
        return Err(Error::file(path, format!("{NAME} has type {}, expected uint8 (|u1)", dtype.descr())));
    }
    let bad = |what: String| Error::file(path, format!("{NAME}: {what}"));
    let (shape, expected) = extent(&npy, 1, file).map_err(bad)?;
    let (n, h, w, depth) = match shape[..] {
        [n, h, w] => (n, h, w, 1),
        [n, h, w, 3] => (n, h, w, 3),
        _ => (0, 0, 0, 0),
    };
    if n == 0 || h == 0 || w == 0 {
        let what = format!("{NAME} has shape {shape:?}, expected [n, h, w] or [n, h, w, 3] with no side of 0");
        return Err(Error::file(path, what));
    }
    let one = h * w * depth;
    if h.max(w) > MOST_SIDE as usize || one as u64 > MOST_DECODED {
        let what = format!("images of {h} x {w}; at most {MOST_SIDE} a side and {MOST_DECODED} bytes are read");
        return Err(bad(what));
    }
    check_bytes(n, size, channels).map_err(bad)?;
    let (mut reader, mut pixels, mut block) = (npy.into_inner(), Vec::new(), Vec::new());
    let per_block = (BLOCK / one).max(1);
    for first in (0..n).step_by(per_block) {
        let wanted = one * per_block.min(n - first);
        block.clear();
        reader.by_ref().take(wanted as u64).read_to_end(&mut block).map_err(|e| bad(e.to_string()))?;
        if block.len() != wanted {
            let found = first * one + block.len();
            return Err(bad(format!("{found} bytes of data, shape {shape:?} needs {expected}: a damaged file")));
        }
        let fitted: Vec<Vec<u8>> = (block.par_chunks_exact(one))
            .map(|pixels| whole(pixels, h, w, depth).map(|image| fit(&image, size, channels)))
            .collect::<Result<_>>()?;
        fitted.into_iter().for_each(|image| pixels.extend(image));
    }
    at_end(reader, expected).map_err(bad)?;
    Ok((n, pixels))
}

/// Shape, and bytes of all elements, each of `width`; `file` is the size of the whole archive.
fn extent(npy: &NpyFile<impl Read>, width: usize, file: u64) -> Result<(Vec<usize>, usize), String> {
    let shape: Vec<usize> = npy.shape().iter().map(|&d| usize::try_from(d).unwrap_or(usize::MAX)).collect();
    if npy.order() == Order::Fortran && shape.len() > 1 {
        return Err("stored in Fortran order, expected C order".into());
    }
    let expected = shape.iter().try_fold(width, |bytes, &d| bytes.checked_mul(d));
    let expected =
        expected.filter(|&b| b < isize::MAX as usize).ok_or_else(|| format!("impossible shape {shape:?}"))?;
    if expected as u64 > file.saturating_mul(MOST_RATIO).saturating_add(SMALL) {
        return Err(format!("shape {shape:?} needs {expected} bytes, which cannot lie in {file}: a damaged file"));
    }
    Ok((shape, expected))
}

/// Refuses an array with more than its `expected` bytes.
fn at_end(mut reader: impl Read, expected: usize) -> Result<(), String> {
    match reader.read(&mut [0]).map_err(|e| e.to_string())? {
        0 => Ok(()),
        _ => Err(format!("more than the {expected} bytes of data that its shape needs: a damaged file")),
    }
}

/// Reads one array of at most `most` elements whole; its bytes must be as many as its header says.
fn array(archive: &mut Archive<impl Read + Seek>, path: &Path, name: &str, most: usize) -> Result<Array> {
    let bad = |what: String| Error::file(path, format!("{name}: {what}"));
    let file = archive.bytes();
    let npy = archive.array(name).map_err(|what| Error::file(path, what))?;
    let dtype = npy.dtype();
    let width = match &dtype {
        DType::Plain(t) => t.num_bytes(),
        _ => None,
    };
    let width = width.ok_or_else(|| bad(format!("type {}, expected integers", dtype.descr())))?;
    let (shape, expected) = extent(&npy, width, file).map_err(bad)?;
    let mut bytes = Vec::new();
    // A wrong number is for the caller to say: no more than it could use is read.
    if shape.iter().product::<usize>() <= most {
        let mut reader = npy.into_inner();
        reader.by_ref().take(expected as u64).read_to_end(&mut bytes).map_err(|e| bad(e.to_string()))?;
        if bytes.len() != expected {
            let found = bytes.len();
            return Err(bad(format!("{found} bytes of data, shape {shape:?} needs {expected}: a damaged file")));
        }
        at_end(reader, expected).map_err(bad)?;
    }
    Ok(Array { dtype, shape, bytes })
}

/// The labels as integers of any width and sign.
fn labels(array: &Array, path: &Path, n: usize) -> Result<Vec<i128>> {
    let bad = |what: String| Error::file(path, format!("train_labels has {what}"));
    if array.shape != [n] && array.shape != [n, 1] {
        let hint = if array.shape.len() == 2 { " (sets with several labels an image are not taken)" } else { "" };
        return Err(bad(format!("shape {:?}, expected [{n}] or [{n}, 1]{hint}", array.shape)));
    }
    let kind = match &array.dtype {
        DType::Plain(t) => Some(t),
        _ => None,
    };
    let integer = |t: &&npyz::TypeStr| {
        matches!(t.type_char(), TypeChar::Uint | TypeChar::Int) && [1, 2, 4, 8].contains(&t.size_field())
    };
    let kind = kind.filter(integer);
    let Some(kind) = kind else {
        return Err(bad(format!("type {}, expected an integer type", array.dtype.descr())));
    };
    let (width, signed) = (kind.size_field() as usize, kind.type_char() == TypeChar::Int);
    let value = |element: &[u8]| {
        let mut le = [0u8; 8];
        le[..width].copy_from_slice(element);
        if kind.endianness() == Endianness::Big {
            le[..width].reverse();
        }
        let word = u64::from_le_bytes(le);
        let unused = 64 - 8 * width as u32;
        // Shifting up and down again extends the sign.
        if signed { i128::from((word << unused) as i64 >> unused) } else { i128::from(word) }
    };
    Ok(array.bytes.chunks_exact(width).map(value).collect())
}

/// One image of the array.
fn whole(pixels: &[u8], h: usize, w: usize, depth: usize) -> Result<DynamicImage> {
    let (width, height) = (w as u32, h as u32);
    let image = if depth == 1 {
        GrayImage::from_raw(width, height, pixels.to_vec()).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, pixels.to_vec()).map(DynamicImage::from)
    };
    image.ok_or_else(|| Error::internal(format!("{h} x {w} x {depth} image of {} bytes", pixels.len())))
}

#[cfg(test)]
mod tests;
