//! The assembler's steps that go line by line: includes, constants, the sides of `//#if`.

use super::map::{Files, Mapped, Source};
use std::collections::BTreeMap;
use std::ops::Range;

/// The values of the `const NAME: u32` lines.
pub(super) type Values = BTreeMap<String, u32>;

const KNOWN: &str = "the directives are //#include, //#if, //#else, //#endif and //#unroll";

/// `source` with its `//#include` lines replaced by the files that they name.
pub(super) fn include(source: &Source, files: &mut Files) -> Result<Mapped, String> {
    let file = files.add(source.clone(), None);
    let mut out = Mapped::default();
    paste(file, &source.text, files, &mut out)?;
    Ok(out)
}

/// Appends file number `file` to `out`.
fn paste(file: usize, text: &str, files: &mut Files, out: &mut Mapped) -> Result<(), String> {
    let own = Mapped::of_file(file, text);
    for range in own.lines() {
        let line = own.text[range.clone()].trim();
        let Some(path) = argument(line, "//#include") else {
            out.copy(&own, range.clone());
            if !own.text[range.clone()].ends_with('\n') {
                out.make("\n", own.place(range.end));
            }
            continue;
        };
        let at = own.place(first(&own, &range));
        let fail = |files: &Files, what: &str| Err(files.show(at, line.len(), what, ""));
        let Some(text) = super::source(path).filter(|_| path.starts_with("lib/")) else {
            let known: Vec<&str> = super::library_files().map(|(name, _)| name).collect();
            let what = format!("no file `{path}` in the shader library; there are {}", known.join(", "));
            return fail(files, &what);
        };
        match files.find(path) {
            Some(other) if files.within(file, other) => return fail(files, &format!("`{path}` includes itself")),
            Some(_) => return fail(files, &format!("`{path}` is included for the second time")),
            None => {}
        }
        let next = files.add(Source::new(path, text), Some(at));
        paste(next, text, files, out)?;
    }
    Ok(())
}

/// Where the text of a line begins behind its indentation.
fn first(text: &Mapped, line: &Range<usize>) -> usize {
    let written = &text.text[line.clone()];
    line.start + written.len() - written.trim_start().len()
}

/// What follows the directive `name` on a trimmed line; `None` on other lines.
fn argument<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(name)?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.trim())
}

/// Sets `const NAME: u32 = N;` lines; returns the text and the value of every such constant.
pub(super) fn set_consts(text: &Mapped, consts: &[(&str, u32)], files: &Files) -> Result<(Mapped, Values), String> {
    let mut values = Values::new();
    let mut out = Mapped::default();
    for range in text.lines() {
        let Some((name, number)) = declaration(&text.text[range.clone()]) else {
            out.copy(text, range);
            continue;
        };
        let number = range.start + number.start..range.start + number.end;
        let default = text.text[number.clone()].trim_end_matches('u').parse::<u32>();
        let set = consts.iter().find(|(n, _)| *n == name).map(|c| c.1);
        let Some(value) = set.or(default.ok()) else {
            out.copy(text, range);
            continue;
        };
        values.insert(name.to_string(), value);
        out.copy(text, range.start..number.start);
        out.make(&format!("{value}u"), text.place(number.start));
        out.copy(text, number.end..range.end);
    }
    match consts.iter().find(|(n, _)| !values.contains_key(*n)) {
        Some((name, _)) => {
            let what = "a line that the kernel's row sets to a value";
            Err(format!("{}: declares no `const {name}: u32 = ...;`, {what}", files.name(0)))
        }
        None => Ok((out, values)),
    }
}

/// The name that a line `const NAME: u32 = N;` declares, and the bytes of its value.
fn declaration(line: &str) -> Option<(&str, Range<usize>)> {
    let (name, tail) = line.strip_prefix("const ")?.split_once(": u32 = ")?;
    let start = line.len() - tail.len();
    Some((name, start..start + tail.find(';')?))
}

/// An `//#if` that is open.
struct Open {
    /// Bytes of its line.
    line: Range<usize>,
    holds: bool,
    in_else: bool,
}

/// Keeps one side of every `//#if`, and takes the `//# ` off an else side.
pub(super) fn choose(text: &Mapped, values: &Values, files: &Files) -> Result<Mapped, String> {
    let mut out = Mapped::default();
    let mut open: Option<Open> = None;
    for range in text.lines() {
        let line = text.text[range.clone()].trim();
        let fail = |what: &str| {
            let at = text.place(first(text, &range));
            Err(files.show(at, line.len(), what, ""))
        };
        if let Some(condition) = argument(line, "//#if") {
            if let Some(outer) = &open {
                let outer = files.at(text.place(outer.line.start));
                return fail(&format!("//#if inside the //#if of {outer}, which has no //#endif yet"));
            }
            match holds(condition, values) {
                Ok(holds) => open = Some(Open { line: range, holds, in_else: false }),
                Err(what) => return fail(&what),
            }
        } else if line == "//#else" {
            match &mut open {
                Some(open) if !open.in_else => open.in_else = true,
                Some(_) => return fail("a second //#else of one //#if"),
                None => return fail("//#else without an //#if"),
            }
        } else if line == "//#endif" {
            if open.take().is_none() {
                return fail("//#endif without an //#if");
            }
        } else if unknown(line) {
            return fail(&format!("no directive of the assembler: {KNOWN}"));
        } else {
            match &open {
                Some(open) if open.holds == open.in_else => {}
                Some(open) if open.in_else => uncomment(text, range, &mut out),
                _ => out.copy(text, range),
            }
        }
    }
    match open {
        Some(open) => {
            let length = text.text[open.line.clone()].trim().len();
            Err(files.show(text.place(first(text, &open.line)), length, "//#if without an //#endif", ""))
        }
        None => Ok(out),
    }
}

/// Whether `NAME == N` holds.
fn holds(condition: &str, values: &Values) -> Result<bool, String> {
    let parts = condition.split_once("==").map(|(name, number)| (name.trim(), number.trim().parse::<u32>()));
    let Some((name, Ok(wanted))) = parts else {
        return Err(format!("//#if cannot read `{condition}`: expected `NAME == N` with a whole number N"));
    };
    match values.get(name) {
        Some(value) => Ok(*value == wanted),
        None => Err(format!("//#if: unknown constant `{name}`: no line `const {name}: u32 = N;` declares it")),
    }
}

/// Whether a trimmed line looks like a directive and is none. `//#` and a blank is the else side's comment.
fn unknown(line: &str) -> bool {
    let word = line.strip_prefix("//#").map(|rest| rest.split_whitespace().next().unwrap_or_default());
    match word {
        Some(word) => line[3..].starts_with(|c: char| c.is_ascii_alphabetic()) && word != "unroll",
        None => false,
    }
}

fn uncomment(text: &Mapped, line: Range<usize>, out: &mut Mapped) {
    match text.text[line.clone()].find("//# ") {
        Some(mark) => {
            out.copy(text, line.start..line.start + mark);
            out.copy(text, line.start + mark + 4..line.end);
        }
        None => out.copy(text, line),
    }
}
