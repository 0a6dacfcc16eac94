//! Expansion of the loops marked `//#unroll`.

use super::directives::Values;
use super::map::{Files, Mapped};
use std::ops::Range;

const MARK: &str = "//#unroll";
/// Turns of one marked loop; those of the catalogue have up to 32.
const MOST_TURNS: u32 = 1024;
/// Marked loops one in the other; the catalogue has up to three.
const MOST_DEPTH: usize = 16;
/// Bytes of expanded text; the longest of the catalogue has some hundred thousand.
const MOST_BYTES: usize = 4 << 20;

/// `text` with every marked loop replaced by its body, once for each turn.
pub(super) fn expand(text: &Mapped, values: &Values, files: &Files) -> Result<Mapped, String> {
    expand_within(text, values, files, 0)
}

/// [`expand`] of what lies within `depth` marked loops.
fn expand_within(text: &Mapped, values: &Values, files: &Files, depth: usize) -> Result<Mapped, String> {
    let mut out = Mapped::default();
    let mut from = 0;
    while let Some(mark) = text.text[from..].find(MARK).map(|i| from + i) {
        let fail = |what: &str| files.show(text.place(mark), MARK.len(), &format!("{MARK}{what}"), "");
        if depth == MOST_DEPTH {
            return Err(fail(&format!(" within {MOST_DEPTH} others: no deeper loop is expanded")));
        }
        let found = Loop::read(&text.text, mark + MARK.len(), values).map_err(|what| fail(&what))?;
        out.copy(text, from..mark);
        for turn in 0..found.turns {
            let body = substitute(text, found.body.clone(), found.name, &format!("{turn}u"));
            let body = expand_within(&body, values, files, depth + 1)?;
            out.make("{ ", text.place(found.open));
            out.copy(&body, 0..body.text.len());
            // A comment must not swallow the brace.
            let commented = body.text.lines().next_back().is_some_and(|line| line.contains("//"));
            out.make(if commented { "\n}\n" } else { " }\n" }, text.place(found.close));
            if out.text.len() > MOST_BYTES {
                return Err(fail(&format!(": more than {MOST_BYTES} bytes of expanded text")));
            }
        }
        from = found.close + 1;
    }
    out.copy(text, from..text.text.len());
    Ok(out)
}

/// A loop that can be expanded.
struct Loop<'a> {
    /// The variable.
    name: &'a str,
    turns: u32,
    /// Byte offsets of its braces.
    open: usize,
    close: usize,
    /// What stands between them, without the white space at both ends.
    body: Range<usize>,
}

impl<'a> Loop<'a> {
    /// Reads the loop from byte `at` on; the error goes on behind the mark.
    fn read(text: &'a str, at: usize, values: &Values) -> Result<Self, String> {
        let open = text[at..].find('{').map(|i| at + i).ok_or(" without a loop behind it")?;
        let header = text[at..open].trim();
        let (name, limit) = parse_header(header).ok_or_else(|| {
            let line = header.lines().next().unwrap_or_default().trim();
            format!(" cannot read the loop `{line}`: expected `for (var i = 0u; i < N; i++) {{`")
        })?;
        let turns = turns(limit, values).ok_or_else(|| {
            format!(": the loop's limit `{limit}` is neither a number nor declared by a line `const {limit}: u32 = N;`")
        })?;
        if turns > MOST_TURNS {
            return Err(format!(": {turns} turns, at most {MOST_TURNS} are expanded"));
        }
        let close = matching_brace(text, open).ok_or(": the loop's `{` is never closed")?;
        Ok(Loop { name, turns, open, close, body: trimmed(text, open + 1..close) })
    }
}

/// Reads `for (var i = 0u; i < N; i++)`: the variable and the limit.
fn parse_header(header: &str) -> Option<(&str, &str)> {
    let inner = header.strip_prefix("for (var ")?.strip_suffix(')')?;
    let (name, rest) = inner.split_once(" = 0u; ")?;
    let (limit, step) = rest.strip_prefix(name)?.strip_prefix(" < ")?.split_once("; ")?;
    let is_name = !name.is_empty() && name.chars().all(is_word);
    (is_name && step.strip_prefix(name) == Some("++")).then_some((name, limit))
}

fn turns(limit: &str, values: &Values) -> Option<u32> {
    let number = limit.strip_suffix('u').unwrap_or(limit).parse().ok();
    number.or_else(|| values.get(limit).copied())
}

/// The brace that closes the one at `open`; comments are passed over.
fn matching_brace(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = open;
    while at < text.len() {
        match text.as_bytes()[at] {
            b'/' if text[at..].starts_with("//") => at += text[at..].find('\n')?,
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// `range` without the white space at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let body = &text[range.clone()];
    let start = range.start + body.len() - body.trim_start().len();
    start..(range.start + body.trim_end().len()).max(start)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Bytes `range` of `text` with the identifier `name` (whole words only, no members) replaced by `value`.
fn substitute(text: &Mapped, range: Range<usize>, name: &str, value: &str) -> Mapped {
    let mut out = Mapped::default();
    let body = &text.text[range.clone()];
    let mut from = 0;
    for (at, _) in body.match_indices(name) {
        let previous = body[..at].chars().next_back().unwrap_or(' ');
        let next = body[at + name.len()..].chars().next().unwrap_or(' ');
        if is_word(previous) || is_word(next) || previous == '.' {
            continue;
        }
        out.copy(text, range.start + from..range.start + at);
        out.make(value, text.place(range.start + at));
        from = at + name.len();
    }
    out.copy(text, range.start + from..range.end);
    out
}
