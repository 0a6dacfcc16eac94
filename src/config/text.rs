//! Parses TOML text to a tree of bounded size and depth.

use crate::{Error, Result, input};
use toml::Table;
use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};

/// Deepest nesting of lists and inline tables; experiments have up to 3, sweeps 4.
const MOST_DEPTH: u32 = 16;
/// Largest number of parts in a dotted key; experiments have up to 3, sweeps 4. Each part is a nested table: `toml` limits both
/// keys and brackets to 80, which combine to 6400 levels, and a tree of that depth overflows the stack of a thread.
pub(super) const MOST_PARTS: usize = 16;
/// Largest number of bytes in a message about a file: `toml` quotes the whole faulty line.
const MESSAGE: usize = 2000;

/// Parses a text of at most [`input::CONFIG`] bytes.
///
/// # Errors
/// The reason alone: not TOML, too large, too deep.
pub fn table(text: &str) -> Result<Table, String> {
    if text.len() as u64 > input::CONFIG {
        return Err(format!("{} bytes of TOML, at most {} are read", text.len(), input::CONFIG));
    }
    check_depth(text)?;
    text.parse().map_err(|e: toml::de::Error| input::shorten(&e.to_string(), MESSAGE))
}

/// [`table`] with its origin in the error.
pub(super) fn table_of(origin: &str, text: &str) -> Result<Table> {
    table(text).map_err(|what| Error::input(format!("{origin}: {what}")))
}

fn check_depth(text: &str) -> Result<(), String> {
    let tokens = Source::new(text).lex().into_vec();
    let (mut parts, mut most_parts, mut depth, mut most_depth) = (1usize, 1usize, 0u32, 0u32);
    let mut count = |event: Event| match event.kind() {
        EventKind::KeySep => {
            parts += 1;
            most_parts = most_parts.max(parts);
        }
        EventKind::SimpleKey | EventKind::Whitespace => {}
        EventKind::ArrayOpen | EventKind::InlineTableOpen => {
            (parts, depth) = (1, depth + 1);
            most_depth = most_depth.max(depth);
        }
        EventKind::ArrayClose | EventKind::InlineTableClose => depth = depth.saturating_sub(1),
        _ => parts = 1,
    };
    // The guard limits the depth of this parser itself; its errors are left to the parser that builds the tree.
    parse_document(&tokens, &mut RecursionGuard::new(&mut count, MOST_DEPTH + 1), &mut ());
    if most_parts > MOST_PARTS {
        return Err(format!("a key of {most_parts} parts (a.b.c has 3), at most {MOST_PARTS} are allowed"));
    }
    if most_depth > MOST_DEPTH {
        return Err(format!("lists and tables nested more than {MOST_DEPTH} deep"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_texts_are_refused_before_a_tree_is_built() {
        let dots = |n: usize| vec!["a"; n].join(".");
        for (ok, deep) in [
            (format!("{} = 1", dots(16)), format!("{} = 1", dots(300_000))),
            (format!("[{}]", dots(16)), format!("[{}]", dots(300_000))),
            (format!("[[{}]]", dots(16)), format!("[[{}]]", dots(300_000))),
            (format!("x = {{ {} = 1 }}", dots(16)), format!("x = {{ {} = 1 }}", dots(300_000))),
            (format!("x = {}{}", "[".repeat(16), "]".repeat(16)), format!("x = {}", "[".repeat(500_000))),
            (format!("x = {}1{}", "{a=".repeat(16), "}".repeat(16)), format!("x = {}", "{a=".repeat(300_000))),
        ] {
            assert!(table(&ok).is_ok(), "{ok}: {:?}", table(&ok));
            let what = table(&deep).unwrap_err();
            assert!(what.contains("at most 16") || what.contains("more than 16"), "{what}");
        }
        assert!(
            table("path = \"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s\" # a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s").is_ok()
        );
    }

    #[test]
    fn messages_are_short_whatever_the_line() {
        let what = table(&format!("x = {}", "y".repeat(900_000))).unwrap_err();
        assert!(what.len() < 2100, "{}", what.len());
        assert!(table(&"#".repeat(2 << 20)).unwrap_err().contains("at most 1048576"));
    }
}
