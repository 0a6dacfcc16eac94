//! Decodes the files that a folder or a manifest names, in parallel.

use super::dataset::{Dataset, Loaded, check_bytes};
use super::fit::{fit, is_coloured, is_translucent};
use super::natural;
use super::patients;
use super::picture;
use super::tally::Tally;
use super::walk::{Entry, FolderOptions, name};
use super::window::{self, Span, Window, Word};
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

/// Number of bad images named in a message.
const NAMED: usize = 8;

/// How files are decoded.
#[derive(Clone, Copy)]
pub(super) struct Decoding {
    pub size: usize,
    pub channels: usize,
    pub options: FolderOptions,
    pub window: Option<Window>,
}

/// The non-empty parts, as one line.
pub(super) fn line(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
    parts.join("; ")
}

/// Decodes every file in parallel and collects the good ones in order: the set with notes and warnings, and the client
/// of each image.
pub(super) fn decode(root: &Path, entries: Vec<Entry>, form: Decoding) -> Result<(Loaded, Vec<u32>)> {
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
    let (mut clients, mut keys, mut tally) = (Vec::new(), Vec::new(), Tally::default());
    for (entry, image) in entries.iter().zip(images) {
        let label = dataset.classes.binary_search_by(|c| natural::compare(c, &entry.class));
        let (Ok((pixels, own)), Ok(label)) = (image, label) else { continue };
        dataset.pixels.extend(pixels);
        dataset.labels.push(label as u32);
        dataset.files.push(name(root, &entry.path));
        clients.push(entry.client);
        keys.push((entry.client, entry.patient.clone()));
        tally = tally.and(own);
    }
    let patients = patients::numbered(keys.iter().map(|(client, patient)| Some((*client, patient.as_deref()?))));
    let (notes, warnings) = (tally.notes(channels, form.window, window), tally.warnings(form.window));
    Ok((Loaded { skipped, notes, warnings, patients, ..Loaded::of(dataset) }, clients))
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
