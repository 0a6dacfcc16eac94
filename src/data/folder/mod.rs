//! Folders of pictures and scans.

use super::dataset::{Clients, Dataset, Loaded, check_shape};
use super::files::{self, AXIS, Decoding, decode, line};
use super::scan::KINDS;
use super::tally::{listed, splits};
use super::walk::{FolderOptions, Walk, name};
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Images of the folder `path` in natural order: one sub-folder per class (searched to any depth), or images directly
/// in it (one class, "all"). Hidden files and folders, system folders (`@eaDir`, `__MACOSX`) and files with extensions
/// of other formats are ignored. Returns the set and the names of the images skipped, each relative to
/// `path`, with the reason in brackets.
///
/// # Errors
/// A missing or empty folder; images next to class folders; images that are truncated, too large or unreadable, all in
/// one message, unless `skip_bad` leaves them out; a symbolic link out of the folder, unless `follow_links` allows it;
/// more folders or images than a set may have.
pub fn folder(path: &Path, size: usize, channels: usize, options: FolderOptions) -> Result<(Dataset, Vec<String>)> {
    let loaded = classes(path, Decoding { size, channels, options, window: None, axis: AXIS })?;
    Ok((loaded.dataset, loaded.skipped))
}

/// [`folder`] with notes and warnings.
pub(super) fn classes(path: &Path, form: Decoding) -> Result<Loaded> {
    check_shape(form.size, form.channels)?;
    let mut walk = Walk::new(path, form.options);
    let entries = walk.class_entries(path, 0)?;
    if entries.is_empty() {
        return Err(Error::file(path, nothing("in this folder", &walk)));
    }
    let (mut loaded, _) = decode(path, path, entries, form)?;
    loaded.notes.insert(0, line(&[loaded.dataset.describe_classes(), walk.passed.describe()]));
    loaded.warnings.extend(splits(&loaded.dataset.classes, path));
    Ok(loaded)
}

/// The smaller of height and width of the first image that [`folder`] would read.
///
/// # Errors
/// As [`folder`].
pub fn first_side(path: &Path) -> Result<u32> {
    let links = FolderOptions { follow_links: true, ..FolderOptions::default() };
    let mut walk = Walk::new(path, links);
    let entries = walk.class_entries(path, 0)?;
    let first = entries.first().ok_or_else(|| Error::file(path, nothing("in this folder", &walk)))?;
    files::side(&first.path).map_err(|what| Error::file(&first.path, what))
}

/// Images of the folder `path` that contains one sub-folder per client, each read as by [`folder`]: class folders or
/// images. Clients are numbered in natural order. Returns the set, the names skipped with their reasons, and the client
/// of each image.
///
/// # Errors
/// As [`folder`]; images outside the clients' folders; a client without a (readable) image.
pub fn client_folders(
    path: &Path,
    size: usize,
    channels: usize,
    options: FolderOptions,
) -> Result<(Dataset, Vec<String>, Clients)> {
    let loaded = clients(path, Decoding { size, channels, options, window: None, axis: AXIS })?;
    let clients = loaded.clients.ok_or_else(|| Error::internal("client folders without clients"))?;
    Ok((loaded.dataset, loaded.skipped, clients))
}

/// Names of the clients of [`client_folders`], by id.
///
/// # Errors
/// A missing or empty folder; images outside the clients' folders; a symbolic link out of the folder.
pub fn client_names(path: &Path, options: FolderOptions) -> Result<Vec<String>> {
    let folders = folders_of_clients(path, &mut Walk::new(path, options))?;
    Ok(folders.iter().map(|f| name(path, f)).collect())
}

fn folders_of_clients(path: &Path, walk: &mut Walk) -> Result<Vec<PathBuf>> {
    let (folders, images) = walk.list(path)?;
    if let Some(image) = images.first() {
        let what =
            format!("an image outside the clients' folders ({}), expected one folder per client", name(path, image));
        return Err(Error::file(path, what));
    }
    if folders.is_empty() {
        return Err(Error::file(path, "empty folder, expected one folder per client"));
    }
    Ok(folders)
}

/// [`client_folders`] with notes and warnings.
pub(super) fn clients(path: &Path, form: Decoding) -> Result<Loaded> {
    check_shape(form.size, form.channels)?;
    let mut walk = Walk::new(path, form.options);
    let folders = folders_of_clients(path, &mut walk)?;
    let mut entries = Vec::new();
    for (client, folder) in folders.iter().enumerate() {
        entries.extend(walk.class_entries(folder, client as u32)?);
    }
    let names: Vec<String> = folders.iter().map(|f| name(path, f)).collect();
    let every_client_in = |of: &[u32], what: &str| {
        let found: BTreeSet<u32> = of.iter().copied().collect();
        match (0..names.len()).find(|&c| !found.contains(&(c as u32))) {
            Some(empty) => Err(Error::file(path, format!("client folder {} has {what}", names[empty]))),
            None => Ok(()),
        }
    };
    every_client_in(&entries.iter().map(|e| e.client).collect::<Vec<_>>(), &nothing("", &walk))?;
    let (mut loaded, of_image) = decode(path, path, entries, form)?;
    every_client_in(&of_image, "no readable image")?;
    let mut counts = vec![0; names.len()];
    of_image.iter().for_each(|c| counts[*c as usize] += 1);
    let numbered: Vec<String> = names.iter().enumerate().map(|(id, name)| format!("{id} {name}")).collect();
    let classes = if loaded.dataset.classes.len() > 1 { loaded.dataset.describe_classes() } else { String::new() };
    let said = [format!("clients   {}", listed(&numbered, &counts)), classes, walk.passed.describe()];
    loaded.notes.insert(0, line(&said));
    loaded.warnings.extend(splits(&names, path));
    loaded.warnings.extend(splits(&loaded.dataset.classes, path));
    loaded.clients = Some(Clients { names, of_image });
    Ok(loaded)
}

fn nothing(place: &str, walk: &Walk) -> String {
    let (passed, space) = (walk.passed.describe(), if place.is_empty() { "" } else { " " });
    let passed = if passed.is_empty() { passed } else { format!(" ({passed})") };
    format!("no image{space}{place}; {KINDS} are read{passed}")
}

#[cfg(test)]
mod tests;
