//! `.npz` files in MedMNIST's layout: `train_images` and optionally `train_labels`.
//!
//! Images are decompressed, resized and dropped in small blocks, so memory depends on the resulting set, not on the
//! file.

mod archive;
mod images;
mod labels;
mod layout;

use super::dataset::Loaded;
use super::dataset::{Dataset, check_shape};
use super::picture::{MOST_RATIO, SMALL};
use super::window::Window;
use crate::{Error, Result};
use archive::Archive;
use images::Images;
use npyz::{DType, NpyFile, Order};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

/// How an array of images is read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NpzOptions {
    /// Axis of the array, 1 to 3, along which volumes `[n, d, h, w]` are cut into slices.
    pub axis: Option<u32>,
    /// Values that become black and white in images of more than 8 bits.
    pub window: Option<Window>,
}

/// An array as stored: its element type, shape and bytes in C order.
struct Array {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// The training images of an `.npz` file with their labels as classes. `train_images` are numbers of any type, in C or
/// Fortran order, `[n, h, w]`, `[n, h, w, c]` or `[n, c, h, w]` with 1 or 3 channels, or volumes with
/// [`NpzOptions::axis`]. `train_labels` are integers `[n]` or `[n, 1]`, or several per image `[n, k]`; without them all
/// images have the class "all".
///
/// # Errors
/// A missing file or array, an ambiguous type or shape, values without a known black and white, different counts, a
/// damaged archive, a set larger than allowed.
pub fn npz(path: &Path, size: usize, channels: usize) -> Result<Dataset> {
    load(path, size, channels, NpzOptions::default()).map(|loaded| loaded.dataset)
}

/// [`npz`] with options, notes and warnings.
pub(super) fn load(path: &Path, size: usize, channels: usize, options: NpzOptions) -> Result<Loaded> {
    if path.is_dir() {
        return Err(Error::file(path, "a folder, expected an .npz file"));
    }
    let file = File::open(path).map_err(|e| Error::file(path, format!("cannot be read as .npz: {e}")))?;
    decode(BufReader::new(file), path, size, channels, options)
}

/// [`npz`] from bytes; `path` is named in errors.
///
/// # Errors
/// As [`npz`].
pub fn decode(
    reader: impl Read + Seek,
    path: &Path,
    size: usize,
    channels: usize,
    options: NpzOptions,
) -> Result<Loaded> {
    check_shape(size, channels)?;
    let mut archive = Archive::new(reader).map_err(|e| Error::file(path, format!("cannot be read as .npz: {e}")))?;
    let Images { layout, pixels, mut notes, warnings } = images::images(&mut archive, path, size, channels, options)?;
    let labels = labels::labels(&mut archive, path, layout.items)?;
    let stem = path.file_name().unwrap_or_default().to_string_lossy();
    let every = |item: usize| (0..layout.slices).map(move |slice| (item, slice));
    let file = |(item, slice): (usize, usize)| match options.axis {
        Some(_) => format!("{stem}:{}[{item}] slice {slice}", images::NAME),
        None => format!("{stem}:{}[{item}]", images::NAME),
    };
    let dataset = Dataset {
        size,
        channels,
        pixels,
        labels: (0..layout.items).flat_map(every).map(|(item, _)| labels.of_image[item]).collect(),
        classes: labels.classes,
        files: (0..layout.items).flat_map(every).map(file).collect(),
    };
    notes.splice(0..0, [Some(dataset.describe_classes()), labels.note].into_iter().flatten());
    Ok(Loaded { notes, warnings, labelled: labels.found, ..Loaded::of(dataset) })
}

/// Shape, and bytes of all elements of `width` bytes each; `file` is the size of the whole archive.
fn extent(npy: &NpyFile<impl Read>, width: usize, file: u64) -> Result<(Vec<usize>, usize), String> {
    let shape: Vec<usize> = npy.shape().iter().map(|&d| usize::try_from(d).unwrap_or(usize::MAX)).collect();
    let expected = shape.iter().try_fold(width, |bytes, &d| bytes.checked_mul(d));
    let expected =
        expected.filter(|&b| b < isize::MAX as usize).ok_or_else(|| format!("impossible shape {shape:?}"))?;
    if expected as u64 > file.saturating_mul(MOST_RATIO).saturating_add(SMALL) {
        return Err(format!("shape {shape:?} needs {expected} bytes, which cannot fit in {file}: a damaged file"));
    }
    Ok((shape, expected))
}

/// Rejects an array with more than its `expected` bytes.
fn at_end(mut reader: impl Read, expected: usize) -> Result<(), String> {
    match reader.read(&mut [0]).map_err(|e| e.to_string())? {
        0 => Ok(()),
        _ => Err(format!("more than the {expected} bytes of data that its shape needs: a damaged file")),
    }
}

/// Reads one array of at most `most` elements completely; it must have as many bytes as its header states.
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
    let fortran = npy.order() == Order::Fortran;
    let mut bytes = Vec::new();
    // The caller reports a wrong number of elements; an array that it cannot use is not read.
    if shape.iter().product::<usize>() <= most && width > 0 {
        let mut reader = npy.into_inner();
        reader.by_ref().take(expected as u64).read_to_end(&mut bytes).map_err(|e| bad(e.to_string()))?;
        if bytes.len() != expected {
            let found = bytes.len();
            return Err(bad(format!("{found} bytes of data, shape {shape:?} needs {expected}: a damaged file")));
        }
        at_end(reader, expected).map_err(bad)?;
    }
    if fortran && shape.len() == 2 && !bytes.is_empty() {
        bytes = transposed(&bytes, shape[0], width);
    }
    Ok(Array { dtype, shape, bytes })
}

/// Converts columns of `rows` elements, stored one after the other, to rows.
fn transposed(bytes: &[u8], rows: usize, width: usize) -> Vec<u8> {
    let columns = bytes.len() / width / rows;
    let element = |at: usize| &bytes[at * width..(at + 1) * width];
    (0..rows).flat_map(|row| (0..columns).flat_map(move |column| element(column * rows + row))).copied().collect()
}

#[cfg(test)]
mod tests;
