//! Files of scanners: one or more images of grey values with a meaning of their own.

use super::dicom::{self, Dicom};
use super::fit::fit;
use super::frame::{Frame, unknown};
use super::nifti::{self, Nifti};
use super::picture;
use super::window::Span;
use crate::input;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Formats that are read, pictures and scans, in words.
pub(super) const KINDS: &str = "PNG, JPEG, TIFF, BMP, WebP, DICOM and NIfTI";
/// Endings of scans, in lower case.
const ENDINGS: [&str; 5] = ["dcm", "dicom", "dic", "ima", "nii"];
/// Ending of a compressed volume.
const COMPRESSED: &str = ".nii.gz";
/// A list of the files on a medium, in the format of an image.
const LIST: &str = "dicomdir";
/// Bytes that tell a format.
const HEAD: u64 = 352;

/// What is wrong with a file that has the ending of a scan.
const NONE: &str = "neither DICOM (`DICM` after 128 bytes) nor NIfTI";

/// A file of one or more images.
pub(super) enum Scan {
    Dicom(Dicom),
    Nifti(Nifti),
}

impl Scan {
    /// The scan in a file; `None` if it is something else, perhaps a picture. Volumes are cut along `axis`.
    ///
    /// # Errors
    /// The reason alone.
    pub fn open(path: &Path, axis: u32) -> Result<Option<Scan>, String> {
        picture::is_file(path)?;
        let head = head(path).map_err(|e| e.to_string())?;
        if !(dicom::is_dicom(&head) || nifti::is_nifti(&head)) {
            let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
            let named = ending.is_some_and(|e| ENDINGS.contains(&e.as_str()));
            // A picture is read whatever its name.
            let picture = head.is_empty() || image::guess_format(&head).is_ok();
            return if named && !picture { Err(NONE.into()) } else { Ok(None) };
        }
        let bytes = input::read(path, input::SCAN).map_err(|e| e.to_string())?;
        Scan::read(&bytes, axis).map(Some)
    }

    /// A scan from bytes.
    ///
    /// # Errors
    /// The reason alone.
    pub fn read(bytes: &[u8], axis: u32) -> Result<Scan, String> {
        if nifti::is_nifti(bytes) {
            Nifti::read(bytes, axis).map(Scan::Nifti)
        } else {
            Dicom::read(bytes).map(Scan::Dicom)
        }
    }

    /// Rejects a scan whose black and white are unknown, with the values of all its images.
    ///
    /// # Errors
    /// The reason alone.
    pub fn check(&self, window: Option<[f64; 2]>) -> Result<(), String> {
        let Scan::Nifti(nifti) = self else { return Ok(()) };
        match nifti.frame(0).ends(window) {
            Some(_) => Ok(()),
            None => Err(unknown((0..nifti.frames()).fold(Span::NONE, |all, i| all.and(nifti.frame(i).span())))),
        }
    }

    /// Number of images, at least one.
    pub fn frames(&self) -> usize {
        match self {
            Scan::Dicom(dicom) => dicom.frames(),
            Scan::Nifti(nifti) => nifti.frames(),
        }
    }

    /// The word for an image of a file with several, and the number of the first one.
    pub fn part(&self) -> (&'static str, usize) {
        match self {
            Scan::Dicom(_) => ("frame", 1),
            Scan::Nifti(_) => ("slice", 0),
        }
    }

    /// The patient's ID, never to be shown.
    pub fn patient(&self) -> Option<String> {
        match self {
            Scan::Dicom(dicom) => dicom.patient.clone(),
            Scan::Nifti(_) => None,
        }
    }

    /// The smaller of height and width.
    pub fn side(&self) -> u32 {
        let (width, height) = match self {
            Scan::Dicom(dicom) => dicom.sides(),
            Scan::Nifti(nifti) => nifti.sides(),
        };
        width.min(height)
    }

    /// An image, counted from 0.
    ///
    /// # Errors
    /// The reason alone: damaged pixels.
    pub fn frame(&self, i: usize) -> Result<Frame, String> {
        match self {
            Scan::Dicom(dicom) => dicom.frame(i),
            Scan::Nifti(nifti) => Ok(Frame::Grey(nifti.frame(i))),
        }
    }
}

/// The images of a scan as they enter a data set, in the form of [`fitted`](picture::fitted) pictures: with `window`, or
/// with those of the file; volumes are cut along `axis`, 0 to 2.
///
/// # Errors
/// The reason alone: damaged, or of a kind that is not read.
pub fn decode_scan(
    bytes: &[u8],
    size: usize,
    channels: usize,
    axis: u32,
    window: Option<[f64; 2]>,
) -> Result<Vec<Vec<u8>>, String> {
    let scan = Scan::read(bytes, axis)?;
    scan.check(window)?;
    let image = |i| {
        let image = match scan.frame(i)? {
            Frame::Grey(grey) => grey.shown(window)?,
            Frame::Colour(image) => image,
        };
        Ok(fit(&image, size, channels))
    };
    (0..scan.frames()).map(image).collect()
}

/// Whether a file with this ending in lower case is a scan; files without an ending, or with digits as in the parts of
/// an identifier, are recognised by their first bytes.
pub(super) fn is_scan_name(path: &Path, ending: Option<&str>) -> bool {
    let list = path.file_stem().is_some_and(|stem| stem.to_string_lossy().eq_ignore_ascii_case(LIST));
    match ending {
        _ if list => false,
        Some("gz") => path.to_string_lossy().to_lowercase().ends_with(COMPRESSED),
        Some(ending) if ENDINGS.contains(&ending) => true,
        Some(ending) if !ending.bytes().all(|b| b.is_ascii_digit()) => false,
        _ => path.is_file() && head(path).is_ok_and(|head| dicom::is_dicom(&head)),
    }
}

fn head(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}
