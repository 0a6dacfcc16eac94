//! Decodes the files that a folder or a manifest names, in parallel.

use super::dataset::{Dataset, Loaded, Room};
use super::fit::{fit, is_coloured, is_translucent};
use super::frame::Frame;
use super::natural;
use super::patients;
use super::picture;
use super::scan::{KINDS, Scan};
use super::tally::Tally;
use super::walk::{Entry, FolderOptions, name};
use super::window::{self, Span, Window, Word};
use crate::error::count;
use crate::{Error, Result};
use image::DynamicImage;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

/// Default axis of [`Decoding`].
pub(super) const AXIS: u32 = 2;
/// Number of bad images named in a message.
const NAMED: usize = 8;

/// How files are decoded.
#[derive(Clone, Copy)]
pub(super) struct Decoding {
    pub size: usize,
    pub channels: usize,
    pub options: FolderOptions,
    pub window: Option<Window>,
    /// Axis along which volumes are cut into slices, 0 to 2.
    pub axis: u32,
}

/// A decoded file.
struct File {
    /// Bytes of each image in the form of the set.
    images: Vec<Vec<u8>>,
    /// Word for an image of a file with several, and the number of the first one.
    part: Option<(&'static str, usize)>,
    patient: Option<String>,
    tally: Tally,
}

/// What images have in common if they are of one patient.
#[derive(PartialEq, Eq, Hash)]
enum Patient<'a> {
    /// The client and the name there.
    Named(u32, &'a str),
    /// All images of a file.
    File(usize),
}

/// The non-empty parts, as one line.
pub(super) fn line(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
    parts.join("; ")
}

/// The smaller of height and width of the first image of a file.
///
/// # Errors
/// The reason alone, as [`picture::side`].
pub(super) fn side(path: &Path) -> Result<u32, String> {
    match Scan::open(path, AXIS)? {
        Some(scan) => Ok(scan.side()),
        None => picture::side(path),
    }
}

/// Decodes every file in parallel and collects the good ones in order: the set with notes and warnings, and the client
/// of each image. Files are named as from `root`; errors name `source`, the folder or the list.
pub(super) fn decode(root: &Path, source: &Path, entries: Vec<Entry>, form: Decoding) -> Result<(Loaded, Vec<u32>)> {
    let room = Room::new(form.size, form.channels);
    room.take(entries.len()).map_err(|what| Error::file(source, what))?;
    let window = chosen(&entries, form);
    let files: Vec<Result<File, String>> =
        entries.par_iter().map(|entry| file(&entry.path, form, window, &room)).collect();
    room.check().map_err(|what| Error::file(source, what))?;
    let bad: Vec<(String, &String)> = (entries.iter().zip(&files))
        .filter_map(|(entry, file)| file.as_ref().err().map(|why| (name(root, &entry.path), why)))
        .collect();
    if bad.len() == entries.len() || !(bad.is_empty() || form.options.skip_bad) {
        return Err(bad_images(source, &bad, entries.len()));
    }
    let skipped = bad.into_iter().map(|(file, why)| format!("{file} ({why})")).collect();
    let (loaded, clients) = collected(root, &entries, files, form, window);
    Ok((Loaded { skipped, ..loaded }, clients))
}

/// The good files as a set.
fn collected(
    root: &Path,
    entries: &[Entry],
    files: Vec<Result<File, String>>,
    form: Decoding,
    window: Option<[f64; 2]>,
) -> (Loaded, Vec<u32>) {
    let Decoding { size, channels, .. } = form;
    let classes: BTreeSet<&str> = entries.iter().map(|e| e.class.as_str()).collect();
    let mut classes: Vec<String> = classes.into_iter().map(String::from).collect();
    classes.sort_by(|a, b| natural::compare(a, b));
    let mut dataset = Dataset { size, channels, pixels: Vec::new(), labels: Vec::new(), classes, files: Vec::new() };
    let (mut clients, mut patients, mut tally) = (Vec::new(), Vec::new(), Tally::default());
    for (number, (entry, file)) in entries.iter().zip(files).enumerate() {
        let label = dataset.classes.binary_search_by(|c| natural::compare(c, &entry.class));
        let (Ok(file), Ok(label)) = (file, label) else { continue };
        for (i, pixels) in file.images.iter().enumerate() {
            dataset.pixels.extend(pixels);
            dataset.labels.push(label as u32);
            let of = file.part.map_or(String::new(), |(part, first)| format!(" {part} {}", first + i));
            dataset.files.push(name(root, &entry.path) + &of);
            clients.push(entry.client);
            patients.push((number, entry, file.patient.clone(), file.part.is_some()));
        }
        tally = tally.and(file.tally);
    }
    let keys = patients.iter().map(|(number, entry, patient, several)| match (&entry.patient, patient) {
        (Some(name), _) | (None, Some(name)) => Some(Patient::Named(entry.client, name)),
        (None, None) => several.then_some(Patient::File(*number)),
    });
    let patients = patients::numbered(keys);
    let (mut notes, mut warnings) = (tally.notes(channels, form.window, window), tally.warnings(form.window));
    let patients_found = patients.as_ref().and_then(|of| of.iter().max()).map(|last| last + 1);
    notes.extend(
        patients_found
            .map(|n| format!("patients  {n}; all images of one are held out, or dealt to one client, together")),
    );
    warnings.extend((patients_found == Some(1)).then(|| {
        "all images are of one patient, whose images stay together: none can be held out or go to a second client; if that \
         is wrong, name the patients in the column `patient` of a manifest"
            .into()
    }));
    (Loaded { notes, warnings, patients, ..Loaded::of(dataset) }, clients)
}

/// The window for all files. For `auto` they are decoded an extra time; unreadable ones are left to the caller.
fn chosen(entries: &[Entry], form: Decoding) -> Option<[f64; 2]> {
    match form.window? {
        Window::Range(range) => Some(range),
        Window::Word(Word::Auto) => {
            let spans = entries.par_iter().map(|entry| span(&entry.path, form.axis).unwrap_or(Span::NONE));
            let all = spans.reduce(|| Span::NONE, Span::and);
            (all.high >= all.low).then(|| all.window())
        }
    }
}

/// The values of a file of more than 8 bits.
fn span(path: &Path, axis: u32) -> Result<Span, String> {
    let Some(scan) = Scan::open(path, axis)? else {
        return Ok(Span::of_image(&picture::read(path)?).unwrap_or(Span::NONE));
    };
    (0..scan.frames()).try_fold(Span::NONE, |all, i| match scan.frame(i)? {
        Frame::Grey(grey) if grey.deep => Ok(all.and(grey.span())),
        _ => Ok(all),
    })
}

/// One file as it enters the set, and its original properties.
fn file(path: &Path, form: Decoding, window: Option<[f64; 2]>, room: &Room) -> Result<File, String> {
    let Some(scan) = Scan::open(path, form.axis)? else {
        // A picture's reader does not know scans.
        let told = |why| if why == picture::unknown() { format!("none of {KINDS}") } else { why };
        let (image, tally) = picture(path, form, window).map_err(told)?;
        return Ok(File { images: vec![image], part: None, patient: None, tally });
    };
    scan.check(window)?;
    let frames = scan.frames();
    // One has been counted.
    room.take(frames - 1)?;
    let (mut images, mut tally) = (Vec::with_capacity(frames), Tally::default());
    for i in 0..frames {
        let (image, own) = of_scan(scan.frame(i)?, form, window)?;
        images.push(image);
        tally = tally.and(own);
    }
    Ok(File { images, part: (frames > 1).then(|| scan.part()), patient: scan.patient(), tally })
}

fn picture(path: &Path, form: Decoding, window: Option<[f64; 2]>) -> Result<(Vec<u8>, Tally), String> {
    let image = picture::read(path)?;
    let span = Span::of_image(&image);
    if span.is_some_and(|s| s.nonfinite) {
        return Err(NONFINITE.into());
    }
    let image = if let (Some(window), Some(_)) = (window, span) { window::apply(image, window) } else { image };
    let tally = Tally {
        deep: usize::from(span.is_some()),
        words: span.filter(|_| !is_float(&image)).unwrap_or(Span::NONE),
        floats: span.filter(|_| is_float(&image)).unwrap_or(Span::NONE),
        ..of_image(&image)
    };
    Ok((fit(&image, form.size, form.channels), tally))
}

const NONFINITE: &str = "its pixels contain NaN or infinity";

fn of_scan(frame: Frame, form: Decoding, window: Option<[f64; 2]>) -> Result<(Vec<u8>, Tally), String> {
    let grey = match frame {
        Frame::Colour(image) => return Ok((fit(&image, form.size, form.channels), of_image(&image))),
        Frame::Grey(grey) => grey,
    };
    let span = grey.span();
    if span.nonfinite {
        return Err(NONFINITE.into());
    }
    let image = grey.shown(window)?;
    let own = grey.window.is_some() && !(grey.deep && window.is_some());
    let range = grey.range.filter(|_| grey.deep && window.is_none() && !own);
    let tally = Tally {
        deep: usize::from(grey.deep),
        own: usize::from(own),
        full: range.map_or(Span::NONE, |_| span),
        range: range.map_or(Span::NONE, |[low, high]| Span { low, high, nonfinite: false }),
        ..of_image(&image)
    };
    Ok((fit(&image, form.size, form.channels), tally))
}

fn of_image(image: &DynamicImage) -> Tally {
    Tally {
        images: 1,
        coloured: usize::from(is_coloured(image)),
        translucent: usize::from(is_translucent(image)),
        ..Tally::default()
    }
}

fn is_float(image: &DynamicImage) -> bool {
    matches!(image, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_))
}

/// One error for all bad images: how many, which (the first few), why, and the remedy.
fn bad_images(source: &Path, bad: &[(String, &String)], total: usize) -> Error {
    let named: Vec<String> = bad.iter().take(NAMED).map(|(file, why)| format!("{file} ({why})")).collect();
    let more = if bad.len() > NAMED { format!(", and {} more", bad.len() - NAMED) } else { String::new() };
    let advice = if bad.len() < total { "; skip_bad = true (--skip-bad) leaves them out" } else { "" };
    Error::file(
        source,
        format!("{} of {} cannot be read: {}{more}{advice}", bad.len(), count(total, "file"), named.join(", ")),
    )
}
