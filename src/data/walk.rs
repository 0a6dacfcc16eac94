//! The search through a data folder: images, classes, clients, and ignored files.

use super::natural::compare_os;
use super::picture::ENDINGS;
use super::scan::{self, KINDS};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Options of the folder loaders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// Leave out images that cannot be read instead of stopping.
    pub skip_bad: bool,
    /// Follow symbolic links that lead outside the folder instead of stopping.
    pub follow_links: bool,
}

/// An image file before decoding.
pub(super) struct Entry {
    pub path: PathBuf,
    pub class: String,
    pub client: u32,
    /// A name for the patient, if a manifest gives one.
    pub patient: Option<String>,
}

/// Class of images without classes.
pub(super) const ALL: &str = "all";
/// Deepest nesting of folders in a class: terminates loops of symbolic links.
const MAX_DEPTH: usize = 16;
/// Maximum folders in a set. No set without links has that many; with links, a few can refer to each other endlessly.
const MAX_FOLDERS: usize = 100_000;
/// Most images in a set.
pub(super) const MAX_IMAGES: usize = 10_000_000;
/// Maximum kinds of ignored files and folders in a list.
const LISTED: usize = 8;
/// Maximum bytes of a listed extension; a longer one is part of a name.
const ENDING: usize = 12;
/// Folders created by systems, archives and network drives, in lower case, besides all that start with `.` or `@`.
const FOREIGN: [&str; 9] = [
    "__macosx",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "lost+found",
    "__pycache__",
    "network trash folder",
];

/// A search through a data folder: its limits, and what it has found so far.
pub(super) struct Walk {
    /// Root without links; `None` if links may lead anywhere.
    inside: Option<PathBuf>,
    folders: usize,
    images: usize,
    /// Ignored files and folders.
    pub passed: Passed,
}

/// Ignored files by extension and ignored folders by name.
#[derive(Default)]
pub(super) struct Passed {
    files: BTreeMap<String, usize>,
    folders: BTreeMap<String, usize>,
}

impl Passed {
    /// `passed over: 3 .txt, 1 .gif; folders @eaDir (12)`, or nothing.
    pub fn describe(&self) -> String {
        let list = |of: &BTreeMap<String, usize>, item: fn(&String, usize) -> String| {
            let mut counts: Vec<(&String, usize)> = of.iter().map(|(name, n)| (name, *n)).collect();
            // The most frequent first, ties in name order.
            counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
            let more = counts.len().saturating_sub(LISTED);
            let mut items: Vec<String> = counts.into_iter().take(LISTED).map(|(name, n)| item(name, n)).collect();
            items.extend((more > 0).then(|| format!("{more} other kinds")));
            items.join(", ")
        };
        let files = list(&self.files, |ending, n| format!("{n} {ending}"));
        let folders = list(&self.folders, |name, n| if n == 1 { name.clone() } else { format!("{name} ({n} times)") });
        match (files.is_empty(), folders.is_empty()) {
            (true, true) => String::new(),
            (false, true) => format!("passed over: {files}"),
            (true, false) => format!("passed over: folders {folders}"),
            (false, false) => format!("passed over: {files}; folders {folders}"),
        }
    }

    fn file(&mut self, name: &str) {
        let ending = Path::new(name).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        let ending = match ending.filter(|e| e.len() <= ENDING) {
            _ if name.starts_with('.') => "hidden".to_string(),
            Some(ending) => format!(".{ending}"),
            None => "without an ending".to_string(),
        };
        *self.files.entry(ending).or_default() += 1;
    }

    fn folder(&mut self, name: &str) {
        *self.folders.entry(name.to_string()).or_default() += 1;
    }
}

/// Whether no user created the folder.
fn is_foreign(name: &str) -> bool {
    name.starts_with(['.', '@']) || FOREIGN.contains(&name.to_lowercase().as_str())
}

impl Walk {
    pub fn new(path: &Path, options: FolderOptions) -> Walk {
        // `list` reports a missing folder.
        let root = || path.canonicalize().unwrap_or_else(|_| path.into());
        Walk { inside: (!options.follow_links).then(root), folders: 0, images: 0, passed: Passed::default() }
    }

    /// Images of one folder with classes, sorted by class and path; an image next to class folders is an error.
    pub fn class_entries(&mut self, path: &Path, client: u32) -> Result<Vec<Entry>> {
        let (folders, images) = self.list(path)?;
        let mut entries = Vec::new();
        for folder in &folders {
            let class = name(path, folder);
            let mut files = Vec::new();
            self.images_below(folder, 0, &mut files)?;
            entries.extend(files.into_iter().map(|path| Entry { path, class: class.clone(), client, patient: None }));
        }
        match (images.first(), entries.first()) {
            (Some(image), Some(entry)) => {
                let (image, class) = (name(path, image), &entry.class);
                let what = format!("an image ({image}) next to class folders ({class}), expected one or the other");
                return Err(Error::file(path, what));
            }
            (Some(_), None) => {
                entries.extend(images.into_iter().map(|path| Entry { path, class: ALL.into(), client, patient: None }));
            }
            _ => {}
        }
        Ok(entries)
    }

    /// All images below `folder`, sorted.
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

    /// Sub-folders and image files directly in `folder`, each in natural order.
    pub fn list(&mut self, folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
        let bad = |e: std::io::Error| Error::file(folder, format!("cannot read this folder: {e}"));
        if !folder.exists() {
            return Err(Error::file(folder, "no such folder"));
        }
        if !folder.is_dir() {
            return Err(Error::file(folder, format!("not a folder, expected a folder of images ({KINDS})")));
        }
        let (mut folders, mut images) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(folder).map_err(bad)? {
            let entry = entry.map_err(bad)?;
            let path = entry.path();
            let own = entry.file_name().to_string_lossy().into_owned();
            let is_folder = path.is_dir();
            match is_folder {
                true if is_foreign(&own) => self.passed.folder(&own),
                false if own.starts_with('.') || !is_image_name(&path) => self.passed.file(&own),
                _ => {
                    if entry.file_type().map_err(bad)?.is_symlink() {
                        self.check_link(&path)?;
                    }
                    if is_folder { folders.push(path) } else { images.push(path) }
                }
            }
        }
        (self.folders, self.images) = (self.folders + 1, self.images + images.len());
        for (what, found, most) in [("folders", self.folders, MAX_FOLDERS), ("images", self.images, MAX_IMAGES)] {
            if found > most {
                return Err(Error::file(folder, format!("more than {most} {what} (links to each other?)")));
            }
        }
        for paths in [&mut folders, &mut images] {
            paths.sort_by(|a, b| compare_os(a.file_name().unwrap_or_default(), b.file_name().unwrap_or_default()));
        }
        Ok((folders, images))
    }

    /// What is wrong with a path, itself or one of its folders a link, that leads out of the data folder.
    pub fn leads_out(&self, path: &Path) -> Option<String> {
        let root = self.inside.as_ref()?;
        let target = path.canonicalize().ok().filter(|target| !target.starts_with(root))?;
        let (target, root) = (target.display(), root.display());
        Some(format!(
            "a symbolic link to {target}, outside the data folder {root}; data.follow_links = true follows it"
        ))
    }

    /// Rejects a link that leads out of the folder. A dangling link is an unreadable image. A linked folder is resolved
    /// before its contents are listed.
    fn check_link(&self, path: &Path) -> Result<()> {
        self.leads_out(path).map_or(Ok(()), |what| Err(Error::file(path, what)))
    }
}

fn is_image_name(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match extension {
        Some(extension) if ENDINGS.contains(&extension.as_str()) => true,
        extension => scan::is_scan_name(path, extension.as_deref()),
    }
}

/// `path` relative to `root`, with forward slashes.
pub(super) fn name(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap_or(path);
    relative.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}
