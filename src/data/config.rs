//! The source of the images, as written in an experiment file.

use super::files::{AXIS, Decoding};
use super::folder;
use super::manifest;
use super::npz::{self, NpzOptions};
use super::tally::Tally;
use super::walk::FolderOptions;
use super::{Dataset, Loaded, Window, builtin, dermoscopy};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Source of the images, chosen by `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataConfig {
    /// The built-in CT/MR slices.
    Builtin {},
    /// A folder of pictures.
    Folder {
        /// The folder; relative paths start at the working directory.
        path: PathBuf,
        /// Leave out images that cannot be read instead of stopping.
        #[serde(default)]
        skip_bad: bool,
        /// One sub-folder per client (with class folders inside) instead of one per class.
        #[serde(default)]
        client_folders: bool,
        /// Follow symbolic links that lead outside the folder instead of stopping.
        #[serde(default)]
        follow_links: bool,
        /// Values that become black and white in images of more than 8 bits; absent: the whole range of their type.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Window>,
        /// Axis of NIfTI volumes, 0 to 2, along which they are cut into slices.
        #[serde(default = "default_axis")]
        axis: u32,
    },
    /// A CSV file that lists images.
    Manifest {
        /// The file; relative paths start at the working directory.
        path: PathBuf,
        /// Leave out images that cannot be read instead of stopping.
        #[serde(default)]
        skip_bad: bool,
        /// Follow symbolic links that lead outside the file's folder instead of stopping.
        #[serde(default)]
        follow_links: bool,
        /// Values that become black and white in images of more than 8 bits; absent: the whole range of their type.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Window>,
        /// Axis of NIfTI volumes, 0 to 2, along which they are cut into slices.
        #[serde(default = "default_axis")]
        axis: u32,
    },
    /// A MedMNIST `.npz` file.
    Npz {
        /// The file; relative paths start at the working directory.
        path: PathBuf,
        /// Axis of `train_images`, 1 to 3, along which volumes are cut into slices.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        axis: Option<u32>,
        /// Values that become black and white in images of more than 8 bits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Window>,
    },
    /// Procedural dermoscopy-like images, natively RGB.
    Dermoscopy {
        /// Number of images.
        #[serde(default = "default_n")]
        n: usize,
        /// Seed of the images, independent of the experiment's.
        #[serde(default)]
        seed: u64,
    },
}

fn default_axis() -> u32 {
    AXIS
}

fn default_n() -> usize {
    1000
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig::Builtin {}
    }
}

impl DataConfig {
    /// Loads the images at `size` x `size` pixels and `channels` (1 or 3).
    ///
    /// # Errors
    /// As the loader: see [`builtin()`], [`folder`](super::folder()), [`client_folders`](super::client_folders),
    /// [`manifest`](super::manifest()), [`npz`](super::npz()), [`dermoscopy()`].
    pub fn load(&self, size: usize, channels: usize) -> Result<Loaded> {
        match self {
            DataConfig::Builtin {} => Ok(made(builtin(size, channels)?, false)),
            DataConfig::Folder { path, skip_bad, client_folders, follow_links, window, axis } => {
                let options = FolderOptions { skip_bad: *skip_bad, follow_links: *follow_links };
                let form = Decoding { size, channels, options, window: *window, axis: *axis };
                if *client_folders { folder::clients(path, form) } else { folder::classes(path, form) }
            }
            DataConfig::Manifest { path, skip_bad, follow_links, window, axis } => {
                let options = FolderOptions { skip_bad: *skip_bad, follow_links: *follow_links };
                manifest::load(path, Decoding { size, channels, options, window: *window, axis: *axis })
            }
            DataConfig::Npz { path, axis, window } => {
                npz::load(path, size, channels, NpzOptions { axis: *axis, window: *window })
            }
            DataConfig::Dermoscopy { n, seed } => Ok(made(dermoscopy(*n, *seed, size, channels)?, true)),
        }
    }
}

impl DataConfig {
    /// Names of the clients by id, as folders or a manifest name them; none for other sources.
    ///
    /// # Errors
    /// As [`client_names`](super::client_names) and [`manifest_clients`](super::manifest_clients).
    pub fn client_names(&self) -> Result<Vec<String>> {
        match self {
            DataConfig::Folder { path, follow_links, .. } => {
                folder::client_names(path, FolderOptions { follow_links: *follow_links, skip_bad: false })
            }
            DataConfig::Manifest { path, .. } => manifest::manifest_clients(path),
            _ => Ok(Vec::new()),
        }
    }

    /// The series of each image if images are consecutive, such as the slices of a scan.
    pub fn series(&self) -> Option<Vec<u32>> {
        matches!(self, DataConfig::Builtin {}).then(super::builtin::series)
    }
}

/// A built-in or generated set, in colour or grey.
fn made(dataset: Dataset, coloured: bool) -> Loaded {
    let images = dataset.len();
    let tally = Tally { images, coloured: if coloured { images } else { 0 }, ..Tally::default() };
    let notes = [vec![dataset.describe_classes()], tally.notes(dataset.channels, None, None)].concat();
    Loaded { notes, ..Loaded::of(dataset) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DataConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn every_kind_parses() {
        assert_eq!(parse("kind = 'builtin'").unwrap(), DataConfig::default());
        let folder = parse("kind = 'folder'\npath = 'x'\nclient_folders = true").unwrap();
        assert_eq!(
            folder,
            DataConfig::Folder {
                path: "x".into(),
                skip_bad: false,
                client_folders: true,
                follow_links: false,
                window: None,
                axis: 2,
            }
        );
        assert_eq!(
            parse("kind = 'npz'\npath = 'a.npz'").unwrap(),
            DataConfig::Npz { path: "a.npz".into(), axis: None, window: None }
        );
        assert_eq!(parse("kind = 'dermoscopy'\nn = 5").unwrap(), DataConfig::Dermoscopy { n: 5, seed: 0 });
        let again = toml::to_string(&folder).unwrap();
        assert_eq!(parse(&again).unwrap(), folder);
    }

    #[test]
    fn unknown_keys_and_kinds_are_refused() {
        for bad in
            ["kind = 'builtin'\npath = 'x'", "kind = 'npz'\npath = 'x'\nskip_bad = true", "kind = 'nope'", "n = 1"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn loads_what_it_names() {
        let loaded = DataConfig::Dermoscopy { n: 3, seed: 1 }.load(16, 3).unwrap();
        assert_eq!((loaded.dataset.len(), loaded.skipped.len(), loaded.clients), (3, 0, None));
        let root = tempfile::TempDir::new().unwrap();
        for client in ["a", "b"] {
            std::fs::create_dir(root.path().join(client)).unwrap();
            image::GrayImage::new(16, 16).save(root.path().join(client).join("1.png")).unwrap();
        }
        let config = DataConfig::Folder {
            path: root.path().into(),
            skip_bad: false,
            client_folders: true,
            follow_links: false,
            window: None,
            axis: 2,
        };
        assert_eq!(config.load(16, 1).unwrap().clients.unwrap().of_image, [0, 1]);
    }
}
