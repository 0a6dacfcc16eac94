//! The shader assembler. The file on disk is complete, readable WGSL in loop form; the assembler may
//! - set `const NAME: u32 = N;` lines to given values,
//! - paste `//#include lib/x.wgsl` files: functions, or an entry point that calls functions of the includer,
//! - pick one side of `//#if NAME == N` / `//#else` / `//#endif` (the else side is commented out with `//# ` on disk),
//! - expand loops marked `//#unroll`: `for (var i = 0u; i < N; i++) { ... }` with a constant `N`.
//!
//! WGSL has no unroll pragma, and naga gives drivers no hint: without expansion, register tiles live in memory.

use std::collections::BTreeMap;

include!(concat!(env!("OUT_DIR"), "/shader_files.rs"));

/// The embedded text of a shader file, by its path under `shaders/`.
pub fn source(file: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == file).map(|(_, text)| *text)
}

/// All embedded shader files: (path under `shaders/`, text).
pub fn files() -> &'static [(&'static str, &'static str)] {
    FILES
}

/// The shader files that kernels are built from: neither functions (`lib/`) nor probes of a device's peak (`perf/`).
pub fn kernel_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    let aside = |name: &str| name.starts_with("lib/") || name.starts_with("perf/");
    FILES.iter().copied().filter(move |(name, _)| !aside(name))
}

/// Assembles `text` with constants `consts`; `unroll` expands marked loops.
///
/// # Errors
/// Names the line that cannot be assembled.
pub fn assemble(text: &str, consts: &[(&str, u32)], unroll: bool) -> Result<String, String> {
    let text = with_includes(text)?;
    let (text, values) = set_consts(&text, consts)?;
    let text = choose(&text, &values)?;
    if unroll { expand(&text, &values) } else { Ok(text) }
}

/// `text` with the files named by its `//#include` lines pasted in.
///
/// # Errors
/// Names a file that does not exist.
pub fn with_includes(text: &str) -> Result<String, String> {
    let mut out = String::new();
    for line in text.lines() {
        match line.trim().strip_prefix("//#include ") {
            Some(path) => out.push_str(source(path.trim()).ok_or_else(|| format!("no shader file {path}"))?),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    Ok(out)
}

/// Sets `const NAME: u32 = N;` lines; returns the text and the value of every such constant.
fn set_consts(text: &str, consts: &[(&str, u32)]) -> Result<(String, BTreeMap<String, u32>), String> {
    let mut values = BTreeMap::new();
    let mut out = String::new();
    for line in text.lines() {
        let parsed = line.strip_prefix("const ").and_then(|rest| {
            let (name, tail) = rest.split_once(": u32 = ")?;
            let (number, after) = tail.split_once(';')?;
            Some((name, number.trim_end_matches('u').parse::<u32>().ok()?, after))
        });
        match parsed {
            Some((name, default, after)) => {
                let value = consts.iter().find(|(n, _)| *n == name).map_or(default, |c| c.1);
                values.insert(name.to_string(), value);
                out.push_str(&format!("const {name}: u32 = {value}u;{after}"));
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    match consts.iter().find(|(n, _)| !values.contains_key(*n)) {
        Some((name, _)) => Err(format!("the shader declares no `const {name}: u32`")),
        None => Ok((out, values)),
    }
}

fn choose(text: &str, values: &BTreeMap<String, u32>) -> Result<String, String> {
    let mut out = String::new();
    let mut state: Option<(bool, bool)> = None; // (condition holds, inside the else side)
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if let Some(condition) = trimmed.strip_prefix("//#if ") {
            let (name, number) = condition.split_once(" == ").ok_or(format!("line {}: {trimmed}", at + 1))?;
            let value = values.get(name.trim()).ok_or(format!("line {}: unknown constant {name}", at + 1))?;
            let wanted: u32 = number.trim().parse().map_err(|_| format!("line {}: {trimmed}", at + 1))?;
            state = Some((*value == wanted, false));
        } else if trimmed == "//#else" {
            state = state.map(|(holds, _)| (holds, true));
        } else if trimmed == "//#endif" {
            state = None;
        } else {
            let shown = match state {
                Some((holds, in_else)) if holds == in_else => continue,
                Some((_, true)) => line.replacen("//# ", "", 1),
                _ => line.to_string(),
            };
            out.push_str(&shown);
            out.push('\n');
        }
    }
    Ok(out)
}

fn expand(text: &str, values: &BTreeMap<String, u32>) -> Result<String, String> {
    let Some(mark) = text.find("//#unroll") else { return Ok(text.to_string()) };
    let rest = &text[mark + "//#unroll".len()..];
    let open = rest.find('{').ok_or("//#unroll without a block")?;
    let header = &rest[..open];
    let (name, limit) =
        parse_header(header, values).ok_or(format!("//#unroll cannot read the loop `{}`", header.trim()))?;
    let close = matching_brace(rest, open).ok_or("//#unroll: unbalanced braces")?;
    let body = &rest[open + 1..close];
    let mut out = text[..mark].to_string();
    for i in 0..limit {
        out.push_str("{ ");
        out.push_str(substitute(body, &name, &format!("{i}u")).trim());
        out.push_str(" }\n");
    }
    out.push_str(&rest[close + 1..]);
    expand(&out, values)
}

/// Reads `for (var i = 0u; i < N; i++)`: the variable and the trip count.
fn parse_header(header: &str, values: &BTreeMap<String, u32>) -> Option<(String, u32)> {
    let inner = header.trim().strip_prefix("for (var ")?.strip_suffix(')')?;
    let (name, rest) = inner.split_once(" = 0u; ")?;
    let (limit, step) = rest.strip_prefix(name)?.strip_prefix(" < ")?.split_once("; ")?;
    if step != format!("{name}++") {
        return None;
    }
    let limit = limit.strip_suffix('u').unwrap_or(limit);
    let limit = limit.parse().ok().or_else(|| values.get(limit).copied())?;
    Some((name.to_string(), limit))
}

fn matching_brace(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (i, c) in text.bytes().enumerate().skip(open) {
        match c {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

/// Replaces the identifier `name` (whole words only) by `value`.
fn substitute(body: &str, name: &str, value: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    let mut before = ' ';
    while let Some(at) = rest.find(name) {
        let previous = rest[..at].chars().next_back().unwrap_or(before);
        let next = rest[at + name.len()..].chars().next().unwrap_or(' ');
        out.push_str(&rest[..at]);
        out.push_str(if is_word(previous) || is_word(next) || previous == '.' { name } else { value });
        before = name.chars().next_back().unwrap_or(' ');
        rest = &rest[at + name.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unrolls_nested_loops_and_sets_constants() {
        let text = "const N: u32 = 4;\n//#unroll\nfor (var i = 0u; i < N; i++) { //#unroll\nfor (var j = 0u; j < 2u; j++) { a[i] += x.i + ij + j; } }\n";
        let got = assemble(text, &[("N", 2)], true).unwrap();
        let flat: String = got.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            flat,
            "const N: u32 = 2u; { { a[0u] += x.i + ij + 0u; } { a[0u] += x.i + ij + 1u; } } { { a[1u] += x.i + ij + 0u; } { a[1u] += x.i + ij + 1u; } }"
        );
    }

    #[test]
    fn picks_sides_and_refuses_unknown_constants() {
        let text = "const L: u32 = 4;\n//#if L == 4\nfour\n//#else\n//# one\n//#endif\nend";
        assert_eq!(assemble(text, &[], false).unwrap(), "const L: u32 = 4u;\nfour\nend\n");
        assert_eq!(assemble(text, &[("L", 1)], false).unwrap(), "const L: u32 = 1u;\none\nend\n");
        assert!(assemble(text, &[("M", 1)], false).unwrap_err().contains("const M"));
    }
}
