//! The networks whose features metrics compare: Lite0, or one of the user's own in an ONNX file.

#[cfg(feature = "onnx")]
mod onnx;
#[cfg(all(test, feature = "onnx"))]
pub(crate) mod tests;

use super::images::ImageSet;
use super::lite0::{FEATURES, Lite0};
use super::resize::{Filter, RESIZE};
use crate::{Error, Result, input};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The built-in extractor's name, in experiment files and in metric names.
pub const BUILTIN: &str = "lite0";
/// Longest file stem in metric names, in characters.
#[cfg(feature = "onnx")]
const STEM: usize = 40;
/// Features of the FID's Inception network.
#[cfg(feature = "onnx")]
const FID: usize = 2048;

/// The order of a network's input, beside the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Planes: `[n][channels][height][width]`.
    Nchw,
    /// Pixels: `[n][height][width][channels]`.
    Nhwc,
}

impl Layout {
    /// Every layout's name in experiment files.
    pub const NAMES: [&str; 2] = ["nchw", "nhwc"];
}

/// The order of the colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first.
    Bgr,
}

impl Order {
    /// Every order's name in experiment files.
    pub const NAMES: [&str; 2] = ["rgb", "bgr"];
}

/// A network in an ONNX file, and how it takes images.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtractorOptions {
    /// The file.
    pub path: PathBuf,
    /// Height and width of its input; `None`: the file's.
    pub side: Option<u32>,
    /// How images are resized to it.
    pub filter: Filter,
    /// Inputs for black and white, before `mean` and `std`.
    pub range: [f64; 2],
    /// Subtracted from these, for all channels or each; `None`: 0.
    pub mean: Option<Vec<f64>>,
    /// Divisor of the differences, for all channels or each; `None`: 1.
    pub std: Option<Vec<f64>>,
    /// Order of the input; `None`: the file's.
    pub layout: Option<Layout>,
    /// Order of the colours.
    pub order: Order,
    /// Name of the output; `None`: the only one.
    pub output: Option<String>,
    /// Whether it is the Inception network of the FID.
    pub is_fid: bool,
}

/// A network that turns images into features.
#[derive(Debug)]
pub struct Extractor {
    label: String,
    /// SHA-256 of the file, in hexadecimal.
    digest: Option<String>,
    resize: String,
    description: String,
    is_fid: bool,
    network: Network,
}

#[derive(Debug)]
enum Network {
    Lite0(Box<Lite0>),
    #[cfg(feature = "onnx")]
    Onnx(Box<onnx::Onnx>),
}

impl Extractor {
    /// EfficientNet-Lite0 with the embedded weights.
    ///
    /// # Errors
    /// [`Error::Internal`] if they are damaged.
    pub fn lite0() -> Result<Extractor> {
        Ok(Extractor {
            label: BUILTIN.into(),
            digest: None,
            resize: RESIZE.into(),
            description: format!("EfficientNet-Lite0, resize {RESIZE}"),
            is_fid: false,
            network: Network::Lite0(Box::new(Lite0::embedded()?)),
        })
    }

    /// The network of a file, tried with one image.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that is missing, too large or not a feature network of images, and for options that
    /// do not suit it; names the file, the tensor or the key.
    #[cfg(feature = "onnx")]
    pub fn open(options: &ExtractorOptions) -> Result<Extractor> {
        let path = &options.path;
        let bytes = read(path)?;
        let digest = hex(&bytes);
        let label = format!("{}-{}", stem(path), &digest[..8]);
        let network = onnx::Onnx::open(bytes, options)?;
        let (features, resize) = (network.features, options.filter.with_side(network.side));
        if options.is_fid && features != FID {
            let found = format!("{} has {features} features", path.display());
            return Err(Error::input(format!(
                "evaluation.extractor_is_fid = true: {found}; the Inception network of the FID has {FID}"
            )));
        }
        Ok(Extractor {
            description: format!("{label}, {features} of output {:?}, resize {resize}", network.output),
            digest: Some(digest),
            label,
            resize,
            is_fid: options.is_fid,
            network: Network::Onnx(Box::new(network)),
        })
    }

    /// The error of a build that reads no ONNX files.
    ///
    /// # Errors
    /// Always [`Error::Input`].
    #[cfg(not(feature = "onnx"))]
    pub fn open(options: &ExtractorOptions) -> Result<Extractor> {
        Err(Error::input(format!(
            "evaluation.extractor = {:?}: this program was built without the feature `onnx`, which reads such files: `cargo build \
             --release --features onnx` builds it with; {BUILTIN:?} is always there",
            options.path
        )))
    }

    /// The name in metric names: `lite0`, or the file's stem and the first 8 digits of its digest.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// SHA-256 of the file, in hexadecimal; `None` for the built-in network.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Filter and side of the input, as in metric names.
    pub fn resize(&self) -> &str {
        &self.resize
    }

    /// Network, features and resizing, for readers.
    pub fn describe(&self) -> &str {
        &self.description
    }

    /// Features per image.
    pub fn features(&self) -> usize {
        match &self.network {
            Network::Lite0(_) => FEATURES,
            #[cfg(feature = "onnx")]
            Network::Onnx(network) => network.features,
        }
    }

    /// The Frechet distance's name on these features: FID is one network's.
    pub(super) fn frechet(&self) -> &'static str {
        if self.is_fid { "fid" } else { "fd" }
    }

    /// Features of a set, `[n][features]`. Images are rounded to bytes and resized; grey is repeated for a network of RGB,
    /// RGB becomes grey (0.299, 0.587, 0.114) for a network of one channel.
    pub(super) fn of(&self, set: &ImageSet) -> Result<Vec<f64>> {
        match &self.network {
            Network::Lite0(network) => Ok(network.features(set).values),
            #[cfg(feature = "onnx")]
            Network::Onnx(network) => network.of(set),
        }
    }
}

/// The digest of an extractor's file: SHA-256 in hexadecimal.
///
/// # Errors
/// [`Error::Input`] naming a file that is missing or too large.
pub fn extractor_digest(path: &Path) -> Result<String> {
    Ok(hex(&read(path)?))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    input::read(path, input::NETWORK).map_err(|e| {
        Error::input(format!(
            "evaluation.extractor = {path:?}: {e}; must be {BUILTIN:?} or an ONNX file (relative paths start at the working \
             directory)"
        ))
    })
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file's stem for a metric's name: letters, digits, `-` and `.`; parts of a name are separated by `_`.
#[cfg(feature = "onnx")]
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' };
    stem.chars().take(STEM).map(plain).collect()
}
