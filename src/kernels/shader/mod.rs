//! The shader assembler. A kernel's file is readable WGSL in loop form; the assembler may
//! - paste files of the library, `//#include lib/x.wgsl`, which may include others: functions, structs, or an entry point that
//!   calls functions of the includer,
//! - set `const NAME: u32 = N;` lines to given values,
//! - pick one side of `//#if NAME == N` / `//#else` / `//#endif` (the else side is commented out with `//# ` on disk),
//! - unroll loops marked `//#unroll`: `for (var i = 0u; i < N; i++) { ... }` with a constant `N`.
//!
//! With the includes pasted a file is valid WGSL. WGSL has no unroll pragma, and naga gives drivers no hint: in a rolled loop,
//! register tiles are placed in memory.
//!
//! Assembled text maps each of its bytes to the file and line that it was written in ([`Assembled::show`]): every message about a
//! shader names the line that its author can edit.

mod directives;
mod map;
mod unroll;

pub use map::Source;

use map::{Files, Mapped};
use std::fmt;

include!(concat!(env!("OUT_DIR"), "/shader_files.rs"));

/// The embedded text of a shader file, by its path under `shaders/`.
pub fn source(file: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == file).map(|(_, text)| *text)
}

/// All embedded shader files: (path under `shaders/`, text).
pub fn files() -> &'static [(&'static str, &'static str)] {
    FILES
}

/// The shader files that kernels are built from: neither the library (`lib/`) nor the probes of a device's ceilings (`perf/`).
pub fn kernel_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    let aside = |name: &str| name.starts_with("lib/") || name.starts_with("perf/");
    FILES.iter().copied().filter(move |(name, _)| !aside(name))
}

/// The files of the library, which others include: (path under `shaders/`, text).
pub fn library_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().copied().filter(|(name, _)| name.starts_with("lib/"))
}

/// WGSL as naga reads it, and where each byte of it was written.
#[derive(Clone, Debug, Default)]
pub struct Assembled {
    mapped: Mapped,
    files: Files,
}

impl Assembled {
    /// `text` unchanged, under the name `name`: nothing is assembled.
    pub fn plain(name: impl Into<String>, text: impl Into<String>) -> Self {
        let source = Source::new(name, text);
        let mapped = Mapped::of_file(0, &source.text);
        let mut files = Files::default();
        files.add(source, None);
        Assembled { mapped, files }
    }

    /// The WGSL.
    pub fn text(&self) -> &str {
        &self.mapped.text
    }

    /// The file and the line, from 1, in which byte `at` of the text was written.
    pub fn origin(&self, at: usize) -> String {
        self.files.at(self.mapped.place(at))
    }

    /// A message about bytes `range` of the text: `FILE:LINE:COLUMN: WHAT`, and the source line with the bytes underlined and
    /// labelled.
    pub fn show(&self, range: std::ops::Range<usize>, what: &str, label: &str) -> String {
        self.files.show(self.mapped.place(range.start), range.len(), what, label)
    }

    /// One more source line for a message: `FILE:LINE`, and the line with the bytes underlined and labelled.
    pub fn show_more(&self, range: std::ops::Range<usize>, label: &str) -> String {
        let place = self.mapped.place(range.start);
        format!("{}:{}", self.files.at(place), self.files.excerpt(place, range.len(), label))
    }

    /// The shader's name in messages.
    pub fn name(&self) -> &str {
        self.files.name(0)
    }
}

impl fmt::Display for Assembled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Assembles `source` with constants `consts`; `unroll` unrolls marked loops.
///
/// # Errors
/// The file and line that cannot be assembled, and the line itself.
pub fn assemble(source: &Source, consts: &[(&str, u32)], unroll: bool) -> Result<Assembled, String> {
    let mut files = Files::default();
    let pasted = directives::include(source, &mut files)?;
    let (text, values) = directives::set_consts(&pasted, consts, &files)?;
    let chosen = directives::choose(&text, &values, &files)?;
    let mapped = if unroll { unroll::expand(&chosen, &values, &files)? } else { chosen };
    Ok(Assembled { mapped, files })
}

/// `sources` one behind another, with the files pasted in that their `//#include` lines name; other directives are comments.
///
/// # Errors
/// The line whose file cannot be included.
pub fn join(sources: &[Source]) -> Result<Assembled, String> {
    let (mut mapped, mut files) = (Mapped::default(), Files::default());
    for source in sources {
        let part = directives::include(source, &mut files)?;
        mapped.copy(&part, 0..part.text.len());
    }
    Ok(Assembled { mapped, files })
}

/// [`assemble`] of an embedded file, by its path under `shaders/`.
///
/// # Errors
/// When there is no such file; as [`assemble`].
pub fn assemble_file(file: &str, consts: &[(&str, u32)], unroll: bool) -> Result<Assembled, String> {
    let text = source(file).ok_or_else(|| format!("no shader file {file}"))?;
    assemble(&Source::new(file, text), consts, unroll)
}

/// The text of an embedded file with the files pasted in that its `//#include` lines name.
///
/// # Errors
/// When there is no such file; the line whose file cannot be included.
pub fn with_includes(file: &str) -> Result<String, String> {
    let text = source(file).ok_or_else(|| format!("no shader file {file}"))?;
    directives::include(&Source::new(file, text), &mut Files::default()).map(|mapped| mapped.text)
}

#[cfg(test)]
mod tests;
