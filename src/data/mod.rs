//! Images for training: folders and lists of pictures (PNG, JPEG, TIFF, BMP, WebP) and scans (DICOM, NIfTI), MedMNIST `.npz` files, the built-in CT/MR
//! slices, and a procedural dermoscopy-like set. Every source yields a [`Dataset`]: u8 pixels of one size, one or three
//! channels, NHWC.

mod builtin;
mod config;
mod dataset;
mod dermoscopy;
mod dicom;
mod element;
mod files;
mod fit;
mod folder;
mod frame;
pub(crate) mod guard;
mod manifest;
mod natural;
mod nifti;
mod npz;
pub(crate) mod patients;
pub mod picture;
pub(crate) mod random;
mod scan;
mod split;
mod tally;
mod walk;
mod whole;
mod window;

pub use builtin::builtin;
pub use config::DataConfig;
pub use dataset::{Clients, Dataset, Loaded, SIZES};
pub use dermoscopy::{MOST_DRAWN, dermoscopy};
pub use folder::{client_folders, client_names, first_side, folder};
#[cfg(feature = "onnx")]
pub(crate) use guard::guarded;
pub use manifest::{check_manifest, manifest, manifest_clients};
pub use npz::{NpzOptions, decode as decode_npz, npz};
pub use scan::decode_scan;
pub(crate) use split::by_class;
pub use split::{Groups, Split, holdout};
pub use walk::FolderOptions;
pub use window::{Window, Word};
