//! Folders of pictures.

use super::dataset::{Clients, Dataset, Loaded, check_bytes, check_shape};
use super::fit::{fit, is_coloured, is_translucent};
use super::natural;
use super::picture::{self, KINDS};
use super::tally::{Tally, listed, splits};
use super::walk::{Entry, FolderOptions, Walk, name};
use super::window::{self, Span, Window, Word};
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Number of bad images named in a message.
const NAMED: usize = 8;

/// How the files of a folder are decoded.
#[derive(Clone, Copy)]
pub(super) struct Decoding {
    pub size: usize,
    pub channels: usize,
    pub options: FolderOptions,
    pub window: Option<Window>,
}

/// Images of the folder `path` in natural order: one sub-folder per class (searched to any depth), or images directly
/// in it (one class, "all"). Hidden files and folders, system folders (`@eaDir`, `__MACOSX`) and files with extensions
/// other than [`picture::ENDINGS`] are ignored. Returns the set and the names of the images skipped, each relative to
/// `path`, with the reason in brackets.
///
/// # Errors
/// A missing or empty folder; images next to class folders; images that are truncated, too large or unreadable, all in
/// one message, unless `skip_bad` leaves them out; a symbolic link out of the folder, unless `follow_links` allows it;
/// more folders or images than a set may have.
pub fn folder(path: &Path, size: usize, channels: usize, options: FolderOptions) -> Result<(Dataset, Vec<String>)> {
    let loaded = classes(path, Decoding { size, channels, options, window: None })?;
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
    let (mut loaded, _) = decode(path, entries, form)?;
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
    picture::side(&first.path).map_err(|what| Error::file(&first.path, what))
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
    let loaded = clients(path, Decoding { size, channels, options, window: None })?;
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
    let (mut loaded, of_image) = decode(path, entries, form)?;
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

/// The non-empty parts, as one line.
fn line(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
    parts.join("; ")
}

/// Decodes every file in parallel and collects the good ones in order: the set with notes and warnings, and the client
/// of each image.
fn decode(root: &Path, entries: Vec<Entry>, form: Decoding) -> Result<(Loaded, Vec<u32>)> {
    let Decoding { size, channels, options, .. } = form;
    check_bytes(entries.len(), size, channels).map_err(|what| Error::file(root, what))?;
    let window = chosen(&entries, form.window);
    let images: Vec<Result<(Vec<u8>, Tally), String>> =
        entries.par_iter().map(|entry| one(&entry.path, size, channels, window)).collect();
    let bad: Vec<(String, &String)> = (entries.iter().zip(&images))
        .filter_map(|(entry, image)| image.as_ref().err().map(|why| (name(root, &entry.path), why)))
        .collect();
    if bad.len() == entries.len() || !(bad.is_empty() || options.skip_bad) {
        return Err(bad_images(root, &bad, entries.len()));
    }
    let skipped = bad.into_iter().map(|(file, why)| format!("{file} ({why})")).collect();
    let classes: BTreeSet<&str> = entries.iter().map(|e| e.class.as_str()).collect();
    let mut classes: Vec<String> = classes.into_iter().map(String::from).collect();
    classes.sort_by(|a, b| natural::compare(a, b));
    let mut dataset = Dataset { size, channels, pixels: Vec::new(), labels: Vec::new(), classes, files: Vec::new() };
    let (mut clients, mut tally) = (Vec::new(), Tally::default());
    for (entry, image) in entries.iter().zip(images) {
        let label = dataset.classes.binary_search_by(|c| natural::compare(c, &entry.class));
        let (Ok((pixels, own)), Ok(label)) = (image, label) else { continue };
        dataset.pixels.extend(pixels);
        dataset.labels.push(label as u32);
        dataset.files.push(name(root, &entry.path));
        clients.push(entry.client);
        tally = tally.and(own);
    }
    let (notes, warnings) = (tally.notes(channels, form.window, window), tally.warnings(form.window));
    Ok((Loaded { skipped, notes, warnings, ..Loaded::of(dataset) }, clients))
}

/// The window for all files. For `auto` their pictures are decoded an extra time; unreadable ones are left to the
/// caller.
fn chosen(entries: &[Entry], window: Option<Window>) -> Option<[f64; 2]> {
    match window? {
        Window::Range(range) => Some(range),
        Window::Word(Word::Auto) => {
            let span = |entry: &Entry| picture::read(&entry.path).ok().and_then(|image| Span::of_image(&image));
            let spans = entries.par_iter().map(|entry| span(entry).unwrap_or(Span::NONE));
            let all = spans.reduce(|| Span::NONE, Span::and);
            (all.high >= all.low).then(|| all.window())
        }
    }
}

/// One picture as it enters the set, and its original properties.
fn one(path: &Path, size: usize, channels: usize, window: Option<[f64; 2]>) -> Result<(Vec<u8>, Tally), String> {
    let image = picture::read(path)?;
    let span = Span::of_image(&image);
    if span.is_some_and(|s| s.nonfinite) {
        return Err("its pixels contain NaN or infinity".into());
    }
    let image = if let (Some(window), Some(_)) = (window, span) { window::apply(image, window) } else { image };
    let tally = Tally {
        images: 1,
        coloured: usize::from(is_coloured(&image)),
        translucent: usize::from(is_translucent(&image)),
        deep: usize::from(span.is_some()),
        words: span.filter(|_| !is_float(&image)).unwrap_or(Span::NONE),
        floats: span.filter(|_| is_float(&image)).unwrap_or(Span::NONE),
    };
    Ok((fit(&image, size, channels), tally))
}

fn is_float(image: &image::DynamicImage) -> bool {
    matches!(image, image::DynamicImage::ImageRgb32F(_) | image::DynamicImage::ImageRgba32F(_))
}

/// One error for all bad images: how many, which (the first few), why, and the remedy.
fn bad_images(root: &Path, bad: &[(String, &String)], total: usize) -> Error {
    let named: Vec<String> = bad.iter().take(NAMED).map(|(file, why)| format!("{file} ({why})")).collect();
    let more = if bad.len() > NAMED { format!(", and {} more", bad.len() - NAMED) } else { String::new() };
    let verb = if bad.len() == 1 { "image cannot" } else { "images cannot" };
    let advice = if bad.len() < total { "; skip_bad = true (--skip-bad) leaves them out" } else { "" };
    Error::file(root, format!("{} of {total} {verb} be read: {}{more}{advice}", bad.len(), named.join(", ")))
}

#[cfg(test)]
mod tests;
