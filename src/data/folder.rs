//! Folders of PNG and JPEG files.

use super::config::Clients;
use super::dataset::{Dataset, check_bytes, check_shape};
use super::fit::fit;
use super::picture;
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Class of images that lie directly in the folder.
const ALL: &str = "all";
/// Deepest nesting of folders inside a class: ends loops of symbolic links.
const MAX_DEPTH: usize = 16;
/// Most folders in a set: without links to folders no set has so many, with them a few lead in endless ways to each other.
const MAX_FOLDERS: usize = 100_000;
/// Most images in a set.
const MAX_IMAGES: usize = 10_000_000;
/// Bad images that a message names.
const NAMED: usize = 8;

/// What a loader of folders does with what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// Leave out images that cannot be read instead of stopping.
    pub skip_bad: bool,
    /// Follow symbolic links that lead outside the folder instead of stopping.
    pub follow_links: bool,
}

/// A walk through a data folder: where it may go, and how much it found so far.
struct Walk {
    /// Without links; `None` where links may lead anywhere.
    inside: Option<PathBuf>,
    folders: usize,
    images: usize,
}

/// An image file before decoding.
struct Entry {
    path: PathBuf,
    class: String,
    client: u32,
}

/// Images of the folder `path` in sorted order: one sub-folder a class (searched to any depth), or images directly in it
/// (one class, "all"). Names that start with a dot and files not named .png, .jpg or .jpeg are passed over. Returns the
/// set and the names of the images skipped, each relative to `path`, with the reason in brackets.
///
/// # Errors
/// A missing or empty folder; images beside class folders; images that are truncated, too large or cannot be read, all in one
/// message, unless `skip_bad` leaves them out; a symbolic link to outside the folder, unless `follow_links` allows it; more
/// folders or images than a set may have.
pub fn folder(path: &Path, size: usize, channels: usize, options: FolderOptions) -> Result<(Dataset, Vec<String>)> {
    check_shape(size, channels)?;
    let entries = Walk::new(path, options).class_entries(path, 0)?;
    if entries.is_empty() {
        return Err(Error::file(path, "no PNG or JPEG image in this folder"));
    }
    let (dataset, skipped, _) = decode(path, entries, size, channels, options.skip_bad)?;
    Ok((dataset, skipped))
}

/// Height or width, the smaller, of the first image that [`folder`] would read.
///
/// # Errors
/// As [`folder`].
pub fn first_side(path: &Path) -> Result<u32> {
    let links = FolderOptions { follow_links: true, ..FolderOptions::default() };
    let entries = Walk::new(path, links).class_entries(path, 0)?;
    let first = entries.first().ok_or_else(|| Error::file(path, "no PNG or JPEG image in this folder"))?;
    picture::side(&first.path).map_err(|what| Error::file(&first.path, what))
}

/// Images of the folder `path` that holds one sub-folder a client, each as [`folder`] takes it: class folders or images.
/// Clients are numbered in sorted order. Returns the set, the names skipped with their reasons, and the client of each image.
///
/// # Errors
/// As [`folder`]; images outside the clients' folders; a client without a (readable) image.
pub fn client_folders(
    path: &Path,
    size: usize,
    channels: usize,
    options: FolderOptions,
) -> Result<(Dataset, Vec<String>, Clients)> {
    check_shape(size, channels)?;
    let mut walk = Walk::new(path, options);
    let (folders, images) = walk.list(path)?;
    if let Some(image) = images.first() {
        let what =
            format!("an image outside the clients' folders ({}), expected one folder a client", name(path, image));
        return Err(Error::file(path, what));
    }
    if folders.is_empty() {
        return Err(Error::file(path, "empty folder, expected one folder a client"));
    }
    let mut entries = Vec::new();
    for (client, folder) in folders.iter().enumerate() {
        entries.extend(walk.class_entries(folder, client as u32)?);
    }
    let names: Vec<String> = folders.iter().map(|f| name(path, f)).collect();
    let every_client_in = |of: &[u32], what: &str| match (0..names.len()).find(|&c| !of.contains(&(c as u32))) {
        Some(empty) => Err(Error::file(path, format!("client folder {} holds no {what}", names[empty]))),
        None => Ok(()),
    };
    every_client_in(&entries.iter().map(|e| e.client).collect::<Vec<_>>(), "PNG or JPEG image")?;
    let (dataset, skipped, of_image) = decode(path, entries, size, channels, options.skip_bad)?;
    every_client_in(&of_image, "readable image")?;
    Ok((dataset, skipped, Clients { names, of_image }))
}

impl Walk {
    fn new(path: &Path, options: FolderOptions) -> Walk {
        // A folder that is not there is said by `list`.
        let root = || path.canonicalize().unwrap_or_else(|_| path.into());
        Walk { inside: (!options.follow_links).then(root), folders: 0, images: 0 }
    }

    /// Images of one folder with classes, sorted by class and path; no class folder may lie beside an image.
    fn class_entries(&mut self, path: &Path, client: u32) -> Result<Vec<Entry>> {
        let (folders, images) = self.list(path)?;
        let mut entries = Vec::new();
        for folder in &folders {
            let class = name(path, folder);
            let mut files = Vec::new();
            self.images_below(folder, 0, &mut files)?;
            entries.extend(files.into_iter().map(|path| Entry { path, class: class.clone(), client }));
        }
        match (images.first(), entries.first()) {
            (Some(image), Some(entry)) => {
                let (image, class) = (name(path, image), &entry.class);
                let what = format!("an image ({image}) beside class folders ({class}), expected one or the other");
                return Err(Error::file(path, what));
            }
            (Some(_), None) => {
                entries.extend(images.into_iter().map(|path| Entry { path, class: ALL.into(), client }));
            }
            _ => {}
        }
        Ok(entries)
    }

    /// All images under `folder`, sorted.
    fn images_below(&mut self, folder: &Path, depth: usize, out: &mut Vec<PathBuf>) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::file(
                folder,
                format!("folders nested more than {MAX_DEPTH} deep (a link to a parent?)"),
            ));
        }
        let (folders, images) = self.list(folder)?;
        out.extend(images);
        folders.iter().try_for_each(|f| self.images_below(f, depth + 1, out))
    }

    /// Sub-folders and image files directly in `folder`, each sorted by name.
    fn list(&mut self, folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
        let bad = |e: std::io::Error| Error::file(folder, format!("cannot read this folder: {e}"));
        if !folder.exists() {
            return Err(Error::file(folder, "no such folder"));
        }
        if !folder.is_dir() {
            return Err(Error::file(folder, "not a folder, expected a folder of PNG or JPEG images"));
        }
        let (mut folders, mut images) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(folder).map_err(bad)? {
            let entry = entry.map_err(bad)?;
            let path = entry.path();
            let hidden = path.file_name().is_none_or(|n| n.to_string_lossy().starts_with('.'));
            let is_folder = !hidden && path.is_dir();
            if hidden || !(is_folder || is_image_name(&path)) {
                continue;
            }
            if entry.file_type().map_err(bad)?.is_symlink() {
                self.check_link(&path)?;
            }
            if is_folder { folders.push(path) } else { images.push(path) }
        }
        (self.folders, self.images) = (self.folders + 1, self.images + images.len());
        for (what, found, most) in [("folders", self.folders, MAX_FOLDERS), ("images", self.images, MAX_IMAGES)] {
            if found > most {
                return Err(Error::file(folder, format!("more than {most} {what} (links to each other?)")));
            }
        }
        folders.sort();
        images.sort();
        Ok((folders, images))
    }

    /// Refuses a link that leads outside. A dangling one is an image that cannot be read, and a folder on the way is no link
    /// any more when what lies in it is listed.
    fn check_link(&self, path: &Path) -> Result<()> {
        match (&self.inside, path.canonicalize()) {
            (Some(root), Ok(target)) if !target.starts_with(root) => {
                let (target, root) = (target.display(), root.display());
                let what = format!(
                    "a symbolic link to {target}, outside the data folder {root}; data.follow_links = true follows it"
                );
                Err(Error::file(path, what))
            }
            _ => Ok(()),
        }
    }
}

fn is_image_name(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg"))
}

/// `path` relative to `root`, with forward slashes.
fn name(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap_or(path);
    relative.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Decodes every entry in parallel and gathers the good ones, in order: set, names of those skipped and why, client of each image.
fn decode(
    root: &Path,
    entries: Vec<Entry>,
    size: usize,
    channels: usize,
    skip_bad: bool,
) -> Result<(Dataset, Vec<String>, Vec<u32>)> {
    check_bytes(entries.len(), size, channels).map_err(|what| Error::file(root, what))?;
    let images: Vec<Result<Vec<u8>, String>> =
        entries.par_iter().map(|entry| picture::read(&entry.path).map(|image| fit(&image, size, channels))).collect();
    let bad: Vec<(String, &String)> = (entries.iter().zip(&images))
        .filter_map(|(entry, image)| image.as_ref().err().map(|why| (name(root, &entry.path), why)))
        .collect();
    if bad.len() == entries.len() || !(bad.is_empty() || skip_bad) {
        return Err(bad_images(root, &bad, entries.len()));
    }
    let skipped = bad.into_iter().map(|(file, why)| format!("{file} ({why})")).collect();
    let classes: BTreeSet<&str> = entries.iter().map(|e| e.class.as_str()).collect();
    let classes: Vec<String> = classes.into_iter().map(String::from).collect();
    let mut dataset = Dataset { size, channels, pixels: Vec::new(), labels: Vec::new(), classes, files: Vec::new() };
    let mut clients = Vec::new();
    for (entry, image) in entries.iter().zip(images) {
        let (Ok(pixels), Ok(label)) = (image, dataset.classes.binary_search(&entry.class)) else { continue };
        dataset.pixels.extend(pixels);
        dataset.labels.push(label as u32);
        dataset.files.push(name(root, &entry.path));
        clients.push(entry.client);
    }
    Ok((dataset, skipped, clients))
}

/// One error for all bad images: how many, which (the first few), why, and what can be done.
fn bad_images(root: &Path, bad: &[(String, &String)], total: usize) -> Error {
    let named: Vec<String> = bad.iter().take(NAMED).map(|(file, why)| format!("{file} ({why})")).collect();
    let more = if bad.len() > NAMED { format!(", and {} more", bad.len() - NAMED) } else { String::new() };
    let verb = if bad.len() == 1 { "image cannot" } else { "images cannot" };
    let advice = if bad.len() < total { "; skip_bad = true (--skip-bad) leaves them out" } else { "" };
    Error::file(root, format!("{} of {total} {verb} be read: {}{more}{advice}", bad.len(), named.join(", ")))
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
