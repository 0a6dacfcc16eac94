//! MedMNIST `.npz` files: `train_images` and `train_labels`.

use super::dataset::{Dataset, check_shape};
use super::fit::fit;
use crate::{Error, Result};
use image::{DynamicImage, GrayImage, RgbImage};
use npyz::npz::NpzArchive;
use npyz::{DType, Endianness, NpyFile, Order, TypeChar};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

type Archive = NpzArchive<BufReader<File>>;

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
/// A missing file or array, another element type or shape, counts that differ, a damaged archive.
pub fn npz(path: &Path, size: usize, channels: usize) -> Result<Dataset> {
    check_shape(size, channels)?;
    let mut archive = Archive::open(path).map_err(|e| Error::file(path, format!("cannot be read as .npz: {e}")))?;
    let images = array(&mut archive, path, "train_images")?;
    if !matches!(&images.dtype, DType::Plain(t) if t.type_char() == TypeChar::Uint && t.size_field() == 1) {
        let what = format!("train_images has type {}, expected uint8 (|u1)", images.dtype.descr());
        return Err(Error::file(path, what));
    }
    let (n, h, w, depth) = match images.shape[..] {
        [n, h, w] => (n, h, w, 1),
        [n, h, w, 3] => (n, h, w, 3),
        _ => (0, 0, 0, 0),
    };
    if n * h * w == 0 {
        let what = format!("train_images has shape {:?}, expected [n, h, w] or [n, h, w, 3]", images.shape);
        return Err(Error::file(path, what));
    }
    let values = labels(&array(&mut archive, path, "train_labels")?, path, n)?;
    let distinct: Vec<i128> = BTreeSet::from_iter(values.iter().copied()).into_iter().collect();
    let labels = values.iter().map(|v| distinct.partition_point(|d| d < v) as u32).collect();
    let fitted: Vec<Vec<u8>> = (images.bytes.par_chunks_exact(h * w * depth))
        .map(|pixels| whole(pixels, h, w, depth).map(|image| fit(&image, size, channels)))
        .collect::<Result<_>>()?;
    let stem = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Dataset {
        size,
        channels,
        pixels: fitted.concat(),
        labels,
        classes: distinct.iter().map(ToString::to_string).collect(),
        files: (0..n).map(|i| format!("{stem}:train_images[{i}]")).collect(),
    })
}

/// Reads one array whole; its bytes must be as many as its header says.
fn array(archive: &mut Archive, path: &Path, name: &str) -> Result<Array> {
    let bad = |what: String| Error::file(path, format!("{name}: {what}"));
    let mut names: Vec<String> = archive.array_names().map(String::from).collect();
    names.sort_unstable();
    match archive.by_name(name).map_err(|e| bad(e.to_string()))? {
        Some(npy) => checked(npy).map_err(bad),
        None => Err(Error::file(path, format!("no array `{name}` in this file (it has: {})", names.join(", ")))),
    }
}

fn checked(npy: NpyFile<impl Read>) -> Result<Array, String> {
    let dtype = npy.dtype();
    let shape: Vec<usize> = npy.shape().iter().map(|&d| d as usize).collect();
    if npy.order() == Order::Fortran && shape.len() > 1 {
        return Err("stored in Fortran order, expected C order".into());
    }
    let width = match &dtype {
        DType::Plain(t) => t.num_bytes(),
        _ => None,
    };
    let width = width.ok_or_else(|| format!("type {}, expected integers", dtype.descr()))?;
    let expected = shape.iter().try_fold(width, |bytes, &d| bytes.checked_mul(d));
    let expected =
        expected.filter(|&b| b < isize::MAX as usize).ok_or_else(|| format!("impossible shape {shape:?}"))?;
    // Read to the end rather than allocate what a damaged header promises.
    let mut bytes = Vec::new();
    npy.into_inner().take(expected as u64 + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() != expected {
        return Err(format!("{} bytes of data, shape {shape:?} needs {expected}: a damaged file", bytes.len()));
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
    let kind = kind.filter(|t| matches!(t.type_char(), TypeChar::Uint | TypeChar::Int) && t.size_field() <= 8);
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
mod tests {
    use super::*;
    use npyz::WriterBuilder;
    use npyz::npz::NpzWriter;
    use npyz::zip::write::FileOptions;
    use std::path::PathBuf;
    use tempfile::TempDir;

    /// A `.npz` writer whose arrays come in one call each.
    struct Writer(TempDir, NpzWriter<std::io::BufWriter<File>>);

    impl Writer {
        fn new() -> Self {
            let root = TempDir::new().unwrap();
            let npz = NpzWriter::create(root.path().join("set.npz")).unwrap();
            Writer(root, npz)
        }

        fn array<T: npyz::AutoSerialize + Copy>(mut self, name: &str, shape: &[u64], data: &[T]) -> Self {
            let writer = self.1.array(name, FileOptions::default()).unwrap();
            let mut writer = writer.default_dtype().shape(shape).begin_nd().unwrap();
            writer.extend(data.iter().copied()).unwrap();
            writer.finish().unwrap();
            self
        }

        fn path(self) -> (TempDir, PathBuf) {
            let path = self.0.path().join("set.npz");
            drop(self.1);
            (self.0, path)
        }

        fn error(self) -> String {
            let (_root, path) = self.path();
            let error = npz(&path, 16, 1).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        }
    }

    #[test]
    fn grey_round_trip() {
        let pixels: Vec<u8> = (0..3 * 256).map(|i| (i * 7 % 251) as u8).collect();
        let (_root, path) = Writer::new()
            .array("train_images", &[3, 16, 16], &pixels)
            .array("train_labels", &[3, 1], &[5u8, 0, 5])
            .path();
        let set = npz(&path, 16, 1).unwrap();
        assert_eq!(set.pixels, pixels);
        assert_eq!((set.labels, set.classes), (vec![1, 0, 1], vec!["0".to_string(), "5".into()]));
        assert_eq!(set.files[2], "set.npz:train_images[2]");
        let rgb = npz(&path, 16, 3).unwrap();
        assert!(rgb.pixels.chunks_exact(3).zip(&pixels).all(|(c, &g)| c == [g; 3]));
    }

    #[test]
    fn rgb_round_trip_with_wide_labels() {
        let pixels: Vec<u8> = (0..2 * 16 * 16 * 3).map(|i| (i * 5 % 253) as u8).collect();
        let (_root, path) = Writer::new()
            .array("train_images", &[2, 16, 16, 3], &pixels)
            .array("train_labels", &[2], &[300i64, -1])
            .path();
        let set = npz(&path, 16, 3).unwrap();
        assert_eq!(set.pixels, pixels);
        assert_eq!((set.labels, set.classes), (vec![1, 0], vec!["-1".to_string(), "300".into()]));
        assert_eq!(npz(&path, 32, 1).unwrap().pixels.len(), 2 * 32 * 32);
    }

    #[test]
    fn clear_errors() {
        let images = |w: Writer| w.array("train_images", &[2, 16, 16], &[0u8; 512]);
        let text = images(Writer::new()).error();
        assert!(text.contains("no array `train_labels`") && text.contains("it has: train_images"), "{text}");
        let text = Writer::new().array("train_labels", &[1], &[0u8]).error();
        assert!(text.contains("no array `train_images`"), "{text}");
        let text = Writer::new().array("train_images", &[2, 16, 16], &[0f32; 512]).error();
        assert!(text.contains("f4") && text.contains("uint8"), "{text}");
        let text = Writer::new().array("train_images", &[2, 16, 16, 2], &[0u8; 1024]).error();
        assert!(text.contains("[2, 16, 16, 2]"), "{text}");
        let text = Writer::new().array("train_images", &[0, 16, 16], &[0u8; 0]).error();
        assert!(text.contains("[0, 16, 16]"), "{text}");
        let text = images(Writer::new()).array("train_labels", &[3, 1], &[0u8; 3]).error();
        assert!(text.contains("[3, 1]") && text.contains("[2, 1]"), "{text}");
        let text = images(Writer::new()).array("train_labels", &[2], &[0f64; 2]).error();
        assert!(text.contains("f8"), "{text}");
    }

    #[test]
    fn damaged_files() {
        let (root, path) = Writer::new().array("train_images", &[2, 16, 16], &[0u8; 512]).path();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(npz(&path, 16, 1).unwrap_err().exit_code(), 2);
        let absent = npz(&root.path().join("absent.npz"), 16, 1).unwrap_err();
        assert!(absent.exit_code() == 2 && absent.to_string().contains("absent.npz"));
    }
}
