//! The keys of an experiment, one row each: path, type and range, default, unit, meaning. The checks of a file, its
//! defaults, `--set`, suggestions and the documentation's table derive from the rows.

mod markdown;
mod rows;
mod sift;
#[cfg(test)]
mod tests;

pub use crate::key::{Bound, DefaultValue, Key, Tags, ValueKind, lookup};
pub use markdown::markdown;
pub use rows::{LAMBDA, LOCAL_EPOCHS};
pub use sift::sift;

use super::Problems;
use crate::{input, key};
use std::collections::BTreeSet;
use toml::{Table, Value};

/// Longest unknown key, in bytes, for which a similar key is suggested.
const LONGEST: usize = 100;

/// All rows, in the order of the file. A key whose default or meaning depends on a tag has a row for each.
pub fn all() -> impl Iterator<Item = &'static Key> {
    rows::SECTIONS.iter().copied().flatten().copied().flatten()
}

/// Whether this is the path of a key or of a table with keys.
pub fn is_known(path: &str) -> bool {
    all().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The tags of all tables that have one.
pub fn tags() -> impl Iterator<Item = &'static str> {
    all().filter(|key| key.is_tag).map(|key| key.path)
}

/// The tag of the table at `path`, such as `detection.kind` for `detection`.
pub fn tag_of(path: &str) -> Option<&'static str> {
    tags().find(|tag| parent(tag) == path)
}

/// The value of the tag of `table`, whose path is `path`.
pub fn tag_value<'a>(path: &str, table: &'a Table) -> Option<&'a str> {
    table.get(key::last(tag_of(path)?))?.as_str()
}

/// Pairs of keys that exclude each other, each pair once.
pub fn exclusive() -> impl Iterator<Item = (&'static str, &'static str)> {
    let pairs = all().filter_map(|key| Some((key.path, key.excludes?))).filter(|(a, b)| a < b);
    pairs.collect::<BTreeSet<_>>().into_iter()
}

/// The present path of a key; differs from `path` if that is a former path.
pub fn current(path: &str) -> &str {
    all().find(|key| key.was == Some(path)).map_or(path, |key| key.path)
}

/// Moves the values at former paths of `rows` to the present ones; returns a note that lists them, if there are any. If both are
/// given, the former one remains and is rejected later.
pub fn rename<'a>(tree: &mut Table, rows: impl Iterator<Item = &'a Key>) -> Option<String> {
    let moved = |key: &Key| {
        let was = key.was.filter(|_| lookup(tree, key.path).is_none())?;
        let value = lookup(tree, was)?.clone();
        insert(tree, key.path, value)?;
        remove(tree, was);
        Some((was, key.path))
    };
    let moved: Vec<(&str, &str)> = rows.filter_map(moved).collect();
    (!moved.is_empty()).then(|| renamed(&moved))
}

/// The note about former paths and the present ones.
pub fn renamed(moved: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = moved.iter().map(|(was, path)| format!("`{was}` is now `{path}`")).collect();
    let names = if moved.len() == 1 { "name is" } else { "names are" };
    format!("{}; the former {names} still accepted", pairs.join(", "))
}

/// Gives every absent key of `tree` its default, except for keys that do not belong to the tag of their table, and keys that
/// another one excludes.
pub fn fill(tree: &mut Table) {
    for key in all() {
        let present = |path: &str| lookup(tree, path).is_some();
        let tag = key.of.and_then(|of| lookup(tree, of.tag)?.as_str());
        if !present(key.path) && !key.excludes.is_some_and(present) && key.fits(tag) {
            key.default.value(tree).and_then(|value| insert(tree, key.path, value));
        }
    }
}

/// The message about the unknown key `path`, found at `at`.
pub fn unknown(at: &str, path: &str, problems: &Problems) -> String {
    let at = input::shorten(at, 2 * LONGEST);
    if let Some(key) = all().find(|key| key.was == Some(path)) {
        return format!("{at}: is the former name of `{}`, which is given too", key.path);
    }
    // Distances to all keys take time: skipped for thousands of keys, and for keys too long to be typing errors.
    let near = (!problems.is_full() && path.len() <= LONGEST).then(|| format!("; the nearest is `{}`", nearest(path)));
    format!("{at}: unknown key{}", near.unwrap_or_default())
}

/// The known key or table with the nearest spelling.
pub fn nearest(path: &str) -> &'static str {
    let last = |p: &str| p.rsplit('.').next().unwrap_or_default().to_string();
    let paths: BTreeSet<&'static str> = all().map(|key| key.path).collect();
    let tables: BTreeSet<&'static str> = paths.iter().map(|path| parent(path)).filter(|t| !t.is_empty()).collect();
    let score = |known: &str| {
        let whole = strsim::normalized_damerau_levenshtein(path, known);
        let end = strsim::jaro_winkler(&last(path), &last(known));
        whole + end + if parent(path) == parent(known) { 0.3 } else { 0.0 }
    };
    paths.into_iter().chain(tables).max_by(|a, b| score(a).total_cmp(&score(b))).unwrap_or("name")
}

/// The path of a key's table; empty for the root.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(table, _)| table)
}

/// The table at a dotted path; the tree itself for the empty path.
fn table_mut<'a>(tree: &'a mut Table, path: &str) -> Option<&'a mut Table> {
    if path.is_empty() {
        return Some(tree);
    }
    path.split('.').try_fold(tree, |at, part| at.get_mut(part)?.as_table_mut())
}

/// Sets the value at a dotted path and creates the tables on the way; `None` if a value on the way is not a table.
pub fn insert(tree: &mut Table, path: &str, value: Value) -> Option<()> {
    let mut at = tree;
    for part in parent(path).split('.').filter(|part| !part.is_empty()) {
        at = at.entry(part).or_insert_with(|| Value::Table(Table::new())).as_table_mut()?;
    }
    at.insert(path.rsplit('.').next()?.into(), value);
    Some(())
}

/// Removes the value at a dotted path, if there is one.
pub fn remove(tree: &mut Table, path: &str) -> Option<Value> {
    table_mut(tree, parent(path))?.remove(path.rsplit('.').next()?)
}
