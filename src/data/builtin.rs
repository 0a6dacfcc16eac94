//! The built-in real set: 705 CT and MR slices compiled into the program. Sources and licences: `assets/ct-mr/README.md`.

use super::dataset::{Dataset, check_shape};
use super::fit::fit;
use crate::{Error, Result};
use image::{DynamicImage, ImageFormat};
use rayon::prelude::*;

/// Side of a tile of a contact sheet, in pixels.
const TILE: u32 = 128;
/// Tiles in a row of a contact sheet.
const COLUMNS: u32 = 16;
/// Class names; a sheet's class is an index into them.
const CLASSES: [&str; 3] = ["brain_mr", "brain_mr_tumour", "lung_ct"];

/// A contact sheet: `count` slices of one series, numbered from `first`.
struct Sheet {
    class: &'static str,
    series: &'static str,
    first: u32,
    count: u32,
    jpeg: &'static [u8],
}

macro_rules! sheet {
    ($class:literal, $series:literal, $first:literal, $count:literal) => {
        Sheet {
            class: $class,
            series: $series,
            first: $first,
            count: $count,
            jpeg: include_bytes!(concat!("../../assets/ct-mr/", $series, ".jpg")),
        }
    };
}

/// As printed by `scripts/pack-ct-mr.py`.
static SHEETS: [Sheet; 7] = [
    sheet!("brain_mr", "colin27_a0", 4, 174),
    sheet!("brain_mr", "colin27_a1", 8, 205),
    sheet!("brain_mr", "colin27_a2", 0, 169),
    sheet!("brain_mr_tumour", "pyrad_brain1_a2", 0, 25),
    sheet!("brain_mr_tumour", "pyrad_brain2_a2", 0, 23),
    sheet!("lung_ct", "pyrad_lung1_a2", 0, 48),
    sheet!("lung_ct", "pyrad_lung2_a2", 0, 61),
];

/// The built-in CT/MR slices at `size` and `channels` (originally grey and 128 x 128).
///
/// # Errors
/// An unsupported size or channel count.
pub fn builtin(size: usize, channels: usize) -> Result<Dataset> {
    check_shape(size, channels)?;
    let parts: Vec<Vec<u8>> = SHEETS.par_iter().map(|s| s.pixels(size, channels)).collect::<Result<_>>()?;
    let mut dataset = Dataset {
        size,
        channels,
        pixels: parts.concat(),
        labels: Vec::new(),
        classes: CLASSES.map(String::from).to_vec(),
        files: Vec::new(),
    };
    for sheet in &SHEETS {
        let label = CLASSES.iter().position(|&c| c == sheet.class);
        let label = label.ok_or_else(|| Error::internal(format!("built-in sheet {}: unknown class", sheet.series)))?;
        for number in sheet.first..sheet.first + sheet.count {
            dataset.labels.push(label as u32);
            dataset.files.push(format!("builtin:{}/{}_{number:03}", sheet.class, sheet.series));
        }
    }
    Ok(dataset)
}

/// The series of each slice of [`builtin`], in its order. Consecutive slices of a series are neighbours in the same
/// patient.
pub fn series() -> Vec<u32> {
    (0..).zip(&SHEETS).flat_map(|(number, sheet)| vec![number; sheet.count as usize]).collect()
}

impl Sheet {
    /// All slices of the sheet, `[count][size][size][channels]`.
    fn pixels(&self, size: usize, channels: usize) -> Result<Vec<u8>> {
        let broken = |what: String| Error::internal(format!("built-in sheet {}: {what}", self.series));
        let sheet = image::load_from_memory_with_format(self.jpeg, ImageFormat::Jpeg)
            .map_err(|e| broken(e.to_string()))?
            .into_luma8();
        let expected = (TILE * COLUMNS, TILE * self.count.div_ceil(COLUMNS));
        if sheet.dimensions() != expected {
            return Err(broken(format!("{:?} pixels, expected {expected:?}", sheet.dimensions())));
        }
        let sheet = DynamicImage::from(sheet);
        let tiles: Vec<Vec<u8>> = (0..self.count)
            .into_par_iter()
            .map(|i| {
                let tile = sheet.crop_imm(i % COLUMNS * TILE, i / COLUMNS * TILE, TILE, TILE);
                fit(&tile, size, channels)
            })
            .collect();
        Ok(tiles.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_705_slices() {
        let set = builtin(32, 1).unwrap();
        assert_eq!((set.len(), set.pixels.len(), set.files.len()), (705, 705 * 32 * 32, 705));
        assert_eq!(set.class_counts(), [548, 48, 109]);
        assert_eq!(set.files[0], "builtin:brain_mr/colin27_a0_004");
        assert_eq!(set.files[704], "builtin:lung_ct/pyrad_lung2_a2_060");
        // No tile may come from the black padding of a sheet's last row.
        for i in 0..set.len() {
            assert!(set.image(i).iter().any(|&v| v > 40), "{} is black", set.files[i]);
        }
        // Slices of a series differ.
        assert_ne!(set.image(100), set.image(101));
    }

    #[test]
    fn rgb_repeats_grey() {
        let (grey, rgb) = (builtin(16, 1).unwrap(), builtin(16, 3).unwrap());
        assert!(grey.pixels.iter().zip(rgb.pixels.chunks_exact(3)).all(|(&g, c)| c == [g; 3]));
    }

    #[test]
    fn unsupported_shapes_are_refused() {
        for (size, channels) in [(48, 1), (0, 1), (512, 1), (32, 2), (32, 0)] {
            assert_eq!(builtin(size, channels).unwrap_err().exit_code(), 2);
        }
    }
}
