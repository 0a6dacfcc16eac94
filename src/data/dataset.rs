//! The common format in which images reach the model.

use super::walk::MAX_IMAGES;
use crate::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Image sides that the model supports.
pub const SIZES: [usize; 5] = [16, 32, 64, 128, 256];

/// Labelled u8 images of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Side of every image in pixels; images are square.
    pub size: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// `[n][size][size][channels]`, rows from top to bottom.
    pub pixels: Vec<u8>,
    /// `[n]`: index into `classes`.
    pub labels: Vec<u32>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// `[n]`: a name for each image, used in messages.
    pub files: Vec<String>,
}

impl Dataset {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True without images (no loader returns such a set).
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image: size * size * channels.
    pub fn image_bytes(&self) -> usize {
        self.size * self.size * self.channels
    }

    /// Pixels of image `i`, `[size][size][channels]`.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    pub fn image(&self, i: usize) -> &[u8] {
        let bytes = self.image_bytes();
        &self.pixels[i * bytes..(i + 1) * bytes]
    }

    /// Number of images of each class, in the order of `classes`.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &label in &self.labels {
            counts[label as usize] += 1;
        }
        counts
    }
}

/// The client of each image, if folders or a manifest define it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients {
    /// Names of the clients, in natural order; there are as many clients as names.
    pub names: Vec<String>,
    /// `[n]`: index into `names`.
    pub of_image: Vec<u32>,
}

/// Images, and what the user should know about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The images; at least one.
    pub dataset: Dataset,
    /// Names of the images that `skip_bad` left out, with the reasons.
    pub skipped: Vec<String>,
    /// Present if folders or a manifest name the clients.
    pub clients: Option<Clients>,
    /// `[n]`: a number for the patient of each image, if any is known; images of unknown patients have their own.
    pub patients: Option<Vec<u32>>,
    /// Lines for the console: classes or clients, ignored files, colour conversions.
    pub notes: Vec<String>,
    /// Possible mistakes, one line each.
    pub warnings: Vec<String>,
    /// False if the source has no classes.
    pub labelled: bool,
}

impl Loaded {
    /// Images without further information.
    pub fn of(dataset: Dataset) -> Loaded {
        let (skipped, notes, warnings) = Default::default();
        Loaded { dataset, skipped, clients: None, patients: None, notes, warnings, labelled: true }
    }
}

/// Maximum bytes of all images of a set: 170,000 of 256 x 256 pixels in RGB.
const MOST_BYTES: u64 = 32 << 30;

/// Rejects a set of `n` images that would take more than [`MOST_BYTES`]; returns the reason alone.
pub(crate) fn check_bytes(n: usize, size: usize, channels: usize) -> Result<(), String> {
    let bytes = (n as u64).saturating_mul((size * size * channels) as u64);
    if bytes > MOST_BYTES {
        let image = format!("{size} x {size} x {channels}");
        return Err(format!("{n} images of {image} take {bytes} bytes, at most {MOST_BYTES} are allowed"));
    }
    Ok(())
}

/// Images that a set may still take, counted while its files are read.
pub(crate) struct Room {
    images: AtomicUsize,
    size: usize,
    channels: usize,
}

impl Room {
    /// All of it, for images of this form.
    pub fn new(size: usize, channels: usize) -> Room {
        Room { images: AtomicUsize::new(0), size, channels }
    }

    /// Counts `n` images, before anything is allocated for them.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn take(&self, n: usize) -> Result<(), String> {
        self.images.fetch_add(n, Ordering::Relaxed);
        self.check()
    }

    /// Rejects a set with too many images; returns the reason alone.
    pub fn check(&self) -> Result<(), String> {
        let n = self.images.load(Ordering::Relaxed);
        if n > MAX_IMAGES {
            return Err(format!("{n} images; at most {MAX_IMAGES} are allowed"));
        }
        check_bytes(n, self.size, self.channels)
    }
}

/// Rejects sizes and channel counts that no model supports.
pub(crate) fn check_shape(size: usize, channels: usize) -> Result<()> {
    if !SIZES.contains(&size) {
        return Err(Error::input(format!("image size {size}: expected a power of two, 16, 32, 64, 128 or 256")));
    }
    if channels != 1 && channels != 3 {
        return Err(Error::input(format!("{channels} image channels: expected 1 (grey) or 3 (RGB)")));
    }
    Ok(())
}
