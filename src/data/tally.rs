//! Notes on a set: how its images differ from the model's format, and the names of its folders.

use super::dataset::Dataset;
use super::window::{Span, Window, Word, narrow};
use std::path::Path;

/// Maximum names in a line.
const LISTED: usize = 24;

/// Counts over the images of a set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tally {
    pub images: usize,
    /// With pixels that are not grey.
    pub coloured: usize,
    /// With pixels that are not opaque.
    pub translucent: usize,
    /// Of more than 8 bits.
    pub deep: usize,
    /// Values of 16-bit images.
    pub words: Span,
    /// Values of images in floating point.
    pub floats: Span,
    /// Scans shown with the window of their file.
    pub own: usize,
    /// Values of scans of more than 8 bits without a window, and those that their types can hold.
    pub full: Span,
    pub range: Span,
}

impl Default for Tally {
    fn default() -> Self {
        let (words, floats, full, range) = (Span::NONE, Span::NONE, Span::NONE, Span::NONE);
        Tally { images: 0, coloured: 0, translucent: 0, deep: 0, words, floats, own: 0, full, range }
    }
}

impl Tally {
    pub fn and(self, other: Tally) -> Tally {
        Tally {
            images: self.images + other.images,
            coloured: self.coloured + other.coloured,
            translucent: self.translucent + other.translucent,
            deep: self.deep + other.deep,
            words: self.words.and(other.words),
            floats: self.floats.and(other.floats),
            own: self.own + other.own,
            full: self.full.and(other.full),
            range: self.range.and(other.range),
        }
    }

    /// Lines for the console: conversion of colours, alpha channels and values beyond 8 bits.
    pub fn notes(&self, channels: usize, asked: Option<Window>, window: Option<[f64; 2]>) -> Vec<String> {
        let of = |n: usize| match (n == self.images, n) {
            (true, 1) => "the only image has".to_string(),
            (true, _) => format!("all {n} images have"),
            (false, 1) => format!("1 of {} images has", self.images),
            (false, _) => format!("{n} of {} images have", self.images),
        };
        let mut notes = Vec::new();
        let grey = self.images - self.coloured;
        if channels == 1 && self.coloured > 0 {
            let images = of(self.coloured);
            notes.push(format!("colours   {images} colours, made grey for model.channels = 1"));
        }
        if channels == 3 && grey > 0 {
            notes.push(format!("colours   {} grey values only, made R = G = B for model.channels = 3", of(grey)));
        }
        if self.translucent > 0 {
            notes.push(format!("alpha     {} transparent pixels, which are composited on black", of(self.translucent)));
        }
        if let Some([low, high]) = window.filter(|_| self.deep > 0) {
            let auto = if asked == Some(Window::Word(Word::Auto)) { " (auto)" } else { "" };
            let images = of(self.deep);
            notes.push(format!("window    {low} to {high}{auto} becomes black to white: {images} more than 8 bits"));
        }
        if self.own > 0 {
            notes.push(format!("window    {} a window in the file, which is used", of(self.own)));
        }
        notes
    }

    /// Possible mistakes with values beyond 8 bits.
    pub fn warnings(&self, asked: Option<Window>) -> Vec<String> {
        match asked {
            Some(_) if self.deep == 0 => vec!["data.window has no effect: no image has more than 8 bits".into()],
            Some(_) => Vec::new(),
            None => {
                let full = flat(self.full, self.range);
                narrow(self.words).into_iter().chain(beyond(self.floats)).chain(full).collect()
            }
        }
    }
}

/// The problem with floating-point images displayed from 0 to 1, if any.
fn beyond(span: Span) -> Option<String> {
    let Span { low, high, .. } = span;
    (low < 0.0 || high > 1.0).then(|| {
        format!(
            "floating-point images have values from {low} to {high}, but only 0 to 1 is used: data.window = [{low}, {high}] \
             or \"auto\" uses all"
        )
    })
}

/// The problem with scans that use little of the range of their type, if any.
fn flat(span: Span, range: Span) -> Option<String> {
    let Span { low, high, .. } = span;
    (high >= low && high - low < (range.high - range.low) / 4.0).then(|| {
        format!(
            "the scans without a window only have values from {low} to {high}, less than a quarter of {} to {}, and hardly any \
             contrast: data.window = [{low}, {high}] or \"auto\" uses the whole range",
            range.low, range.high
        )
    })
}

/// `a (3), b (4)`.
pub(super) fn listed(names: &[String], counts: &[usize]) -> String {
    let mut items: Vec<String> =
        names.iter().zip(counts).take(LISTED).map(|(name, n)| format!("{name} ({n})")).collect();
    items.extend(names.len().checked_sub(LISTED + 1).map(|more| format!("and {} more", more + 1)));
    items.join(", ")
}

impl Dataset {
    /// The classes with their numbers of images, for the console.
    pub(super) fn describe_classes(&self) -> String {
        format!("classes   {}", listed(&self.classes, &self.class_counts()))
    }
}

/// A warning if folders that became classes or clients are named like the parts of a split: `train`, `test`.
pub(super) fn splits(names: &[String], path: &Path) -> Option<String> {
    let parts: Vec<&str> = names.iter().map(String::as_str).filter(|name| is_part(name)).collect();
    (parts.len() > 1).then(|| {
        format!(
            "{}: the folders {} look like the parts of a split, and their images are trained on all together; data.path = {:?} \
             reads one part",
            path.display(),
            parts.join(", "),
            path.join(parts.iter().find(|p| p.to_lowercase().contains("train")).unwrap_or(&parts[0]))
        )
    })
}

/// `train`, `Test_set`, `val2017`.
fn is_part(name: &str) -> bool {
    const PARTS: [&str; 12] =
        ["train", "training", "trn", "test", "testing", "tst", "val", "valid", "validation", "dev", "eval", "holdout"];
    let letters: String = name.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
    let plain = ["set", "data", "images", "imgs", "split", "folder"].iter().find_map(|end| letters.strip_suffix(end));
    PARTS.contains(&letters.as_str()) || plain.is_some_and(|plain| PARTS.contains(&plain)) || letters == "heldout"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn parts_of_a_split_are_distinguished_from_classes() {
        for parts in [
            &["test", "train"][..],
            &["Train", "Val"],
            &["TRAINING", "Testing", "validation"],
            &["train_set", "test-set"],
            &["train2017", "val2017"],
            &["dev", "test", "train"],
            &["test", "train", "other"],
            &["valid", "held_out"],
        ] {
            let text = splits(&names(parts), Path::new("x")).unwrap_or_else(|| panic!("{parts:?}"));
            assert!(text.contains("look like the parts of a split"), "{text}");
        }
        for classes in [
            &["benign", "malignant"][..],
            &["test"],
            &["train"],
            &["tested", "untested"],
            &["contest", "attest"],
            &["dataset", "images"],
            &["0", "1"],
            &[],
        ] {
            assert_eq!(splits(&names(classes), Path::new("x")), None, "{classes:?}");
        }
        let text = splits(&names(&["test", "train"]), Path::new("data")).unwrap();
        assert!(text.contains("folders test, train") && text.contains("train\" reads one part"), "{text}");
    }

    #[test]
    fn colours_alpha_and_windows_are_reported() {
        let tally = Tally { images: 5, coloured: 5, translucent: 1, deep: 0, ..Tally::default() };
        let notes = tally.notes(1, None, None);
        assert!(notes[0].contains("all 5 images have colours, made grey"), "{notes:?}");
        assert!(notes[1].contains("1 of 5 images has transparent pixels"), "{notes:?}");
        assert_eq!(tally.notes(3, None, None).len(), 1);
        let grey = Tally { images: 5, coloured: 2, ..Tally::default() };
        assert!(grey.notes(3, None, None)[0].contains("3 of 5 images have grey values only"));
        let auto = Some(Window::Word(Word::Auto));
        assert_eq!(grey.warnings(auto).len(), 1, "no values to stretch");
        let deep = Tally { deep: 2, words: Span { low: 0.0, high: 4095.0, nonfinite: false }, ..grey };
        assert_eq!((deep.warnings(None).len(), deep.warnings(auto).len()), (1, 0));
        assert!(deep.notes(1, auto, Some([0.0, 4095.0])).iter().any(|n| n.contains("0 to 4095 (auto)")));
    }

    #[test]
    fn long_lists_are_cut() {
        let many = names(&vec!["x"; 100]);
        assert!(listed(&many, &[1; 100]).ends_with("x (1), and 76 more"));
        assert_eq!(listed(&many[..24], &[1; 24]).matches('x').count(), 24);
        assert!(!listed(&many[..24], &[1; 24]).contains("more"));
    }
}
