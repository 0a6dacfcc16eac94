//! Text that knows where each of its bytes was written, and messages that show it.

use std::fmt::Write as _;
use std::ops::Range;

/// A shader's text, and what messages call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// A path: of the user's file, or under `shaders/`.
    pub name: String,
    /// WGSL with the assembler's directives.
    pub text: String,
}

impl Source {
    /// `text` under the name `name`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Source { name: name.into(), text: text.into() }
    }
}

/// A byte of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index in [`Files`].
    pub(super) file: usize,
    /// Byte offset in that file's text.
    pub(super) at: usize,
}

/// A run of assembled text.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Byte offset in the assembled text.
    start: usize,
    /// Where its first byte was written.
    place: Place,
    /// True if the next bytes were written behind the first; false if the assembler made the whole piece at `place`.
    copied: bool,
}

/// Assembled text with the place of every byte.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapped {
    pub(super) text: String,
    pieces: Vec<Piece>,
}

impl Mapped {
    /// The whole of file number `file`.
    pub(super) fn of_file(file: usize, text: &str) -> Self {
        let whole = Piece { start: 0, place: Place { file, at: 0 }, copied: true };
        Mapped { text: text.to_string(), pieces: vec![whole] }
    }

    /// Where byte `at` was written; the end of the text lies behind its last byte.
    pub(super) fn place(&self, at: usize) -> Place {
        let next = self.pieces.partition_point(|piece| piece.start <= at);
        match next.checked_sub(1).map(|i| self.pieces[i]) {
            Some(piece) if piece.copied => Place { at: piece.place.at + at - piece.start, ..piece.place },
            Some(piece) => piece.place,
            None => Place { file: 0, at: 0 },
        }
    }

    /// Appends bytes `range` of `from`.
    pub(super) fn copy(&mut self, from: &Mapped, range: Range<usize>) {
        let mut at = range.start;
        let mut next = from.pieces.partition_point(|piece| piece.start <= at);
        while at < range.end {
            let end = from.pieces.get(next).map_or(range.end, |piece| piece.start.min(range.end));
            let copied = next > 0 && from.pieces[next - 1].copied;
            self.push(&from.text[at..end], from.place(at), copied);
            (at, next) = (end, next + 1);
        }
    }

    /// Appends text that the assembler makes of what stands at `place`.
    pub(super) fn make(&mut self, text: &str, place: Place) {
        self.push(text, place, false);
    }

    fn push(&mut self, text: &str, place: Place, copied: bool) {
        if text.is_empty() {
            return;
        }
        let start = self.text.len();
        let goes_on = self.pieces.last().is_some_and(|last| {
            let next = Place { at: last.place.at + start - last.start, ..last.place };
            copied && last.copied && next == place
        });
        if !goes_on {
            self.pieces.push(Piece { start, place, copied });
        }
        self.text.push_str(text);
    }

    /// The lines as byte ranges, each with its line break.
    pub(super) fn lines(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut start = 0;
        self.text.split_inclusive('\n').map(move |line| {
            let range = start..start + line.len();
            start = range.end;
            range
        })
    }
}

/// The last boundary between characters up to byte `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

/// One file of an assembled shader.
#[derive(Clone, Debug)]
struct File {
    source: Source,
    /// The `//#include` line that named it.
    included: Option<Place>,
}

/// The files of an assembled shader; the first is the one that is assembled.
#[derive(Clone, Debug, Default)]
pub(super) struct Files(Vec<File>);

impl Files {
    pub(super) fn add(&mut self, source: Source, included: Option<Place>) -> usize {
        self.0.push(File { source, included });
        self.0.len() - 1
    }

    /// The number of the file called `name`.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|file| file.source.name == name)
    }

    /// Whether `file` is `other` or included by it, at whatever depth.
    pub(super) fn within(&self, file: usize, other: usize) -> bool {
        file == other || self.0[file].included.is_some_and(|place| self.within(place.file, other))
    }

    pub(super) fn name(&self, file: usize) -> &str {
        &self.0[file].source.name
    }

    /// The line of `place`: its number from 1, the text before `place` and from there on.
    fn line(&self, place: Place) -> (usize, &str, &str) {
        let text = &self.0[place.file].source.text;
        let at = boundary(text, place.at);
        let start = text[..at].rfind('\n').map_or(0, |i| i + 1);
        let end = text[at..].find('\n').map_or(text.len(), |i| at + i);
        (1 + text[..start].matches('\n').count(), &text[start..at], text[at..end].trim_end())
    }

    /// `NAME:LINE`.
    pub(super) fn at(&self, place: Place) -> String {
        format!("{}:{}", self.name(place.file), self.line(place).0)
    }

    /// `NAME:LINE:COLUMN: WHAT`, for an included file the line that includes it, and the source line with `length` bytes from
    /// `place` on underlined and labelled.
    pub(super) fn show(&self, place: Place, length: usize, what: &str, label: &str) -> String {
        let column = 1 + self.line(place).1.chars().count();
        let mut out = format!("{}:{column}: {what}", self.at(place));
        let mut file = place.file;
        while let Some(by) = self.0[file].included {
            let _ = write!(out, " (included at {})", self.at(by));
            file = by.file;
        }
        out + &self.excerpt(place, length, label)
    }

    /// The source line of `place` with `length` bytes underlined and labelled.
    pub(super) fn excerpt(&self, place: Place, length: usize, label: &str) -> String {
        let (number, before, after) = self.line(place);
        let number = number.to_string();
        let blank = " ".repeat(number.len());
        // One column a character, whatever a terminal would do with tabs and control characters.
        let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        let marked = &after[..boundary(after, length)];
        let marks = "^".repeat(marked.chars().count().max(1));
        let indent = " ".repeat(before.chars().count());
        let mark = format!("{blank} | {indent}{marks} {label}");
        format!("\n{blank} |\n{number} | {}{}\n{}", plain(before), plain(after), mark.trim_end())
    }
}
