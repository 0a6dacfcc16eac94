//! Checks a tree against the rows.

use super::{DefaultValue, Key, all, exclusive, is_known, lookup, parent, remove, table_mut, tag_value, unknown};
use crate::config::Problems;
use std::collections::BTreeSet;
use toml::{Table, Value};

/// Reports violations of the rows: unknown keys, wrong types, values out of range, keys of another tag, missing keys, and pairs
/// that exclude each other. Unreadable values are removed, so that the rest can be read and all mistakes are found at once.
/// `[resolved]` is not checked.
pub fn sift(tree: &mut Table, problems: &mut Problems) {
    walk("", tree, problems);
    let tags: BTreeSet<&str> = all().filter_map(|key| key.of).map(|of| of.tag).collect();
    for tag in tags {
        options(tag, tree, problems);
    }
    for (a, b) in exclusive() {
        if let (Some(first), Some(second)) = (lookup(tree, a), lookup(tree, b)) {
            problems.refuse(a, format!("{first} and {b} = {second}"), "one of the two, not both");
            remove(tree, b);
        }
    }
}

fn walk(prefix: &str, table: &mut Table, problems: &mut Problems) {
    let tag = tag_value(prefix, table).map(String::from);
    table.retain(|name, value| {
        let path = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
        if path == "resolved" {
            return value.is_table() || problems.refuse(&path, value, "a table");
        }
        if let Some(key) = row(&path, tag.as_deref()) {
            if let Err(allowed) = key.kind.check(value) {
                problems.refuse(&path, found(value), &allowed);
            }
            return key.kind.has_type(value);
        }
        match value {
            _ if !is_known(&path) => problems.push(unknown(&path, &path, problems)),
            Value::Table(inner) => {
                walk(&path, inner, problems);
                true
            }
            _ => problems.refuse(&path, value, "a table"),
        }
    });
}

/// The row of a key in a table with this tag; if the tag has none, that of another tag.
fn row(path: &str, tag: Option<&str>) -> Option<&'static Key> {
    let mut rows = all().filter(|key| key.path == path).peekable();
    let first = rows.peek().copied();
    rows.find(|key| key.fits(tag)).or(first)
}

/// A value in a message; numbers of unusual size with an exponent.
fn found(value: &Value) -> String {
    match value {
        Value::Float(v) if *v == 0.0 || (1e-5..1e15).contains(&v.abs()) => v.to_string(),
        Value::Float(v) => format!("{v:?}"),
        value => value.to_string(),
    }
}

/// Checks the table with the tag at path `tag`: each of its keys must belong to the tag's value, and the keys that this value
/// requires must be present. If one is missing, the table takes its default, so that the others can still be checked.
fn options(tag: &'static str, tree: &mut Table, problems: &mut Problems) {
    let path = parent(tag);
    let Some(table) = table_mut(tree, path) else { return };
    let own: Vec<&Key> = all().filter(|key| key.of.is_some_and(|of| of.tag == tag)).collect();
    let chosen = tag_value(path, table).map(String::from);
    for key in &own {
        let known = own.iter().any(|other| other.path == key.path && other.fits(chosen.as_deref()));
        if !known && table.remove(key.name()).is_some() {
            match &chosen {
                Some(chosen) => _ = problems.push(foreign(key, tag, chosen)),
                None => missing(row(tag, None), problems),
            }
        }
    }
    let required = |key: &&&Key| matches!(key.default, DefaultValue::Required) && key.fits(chosen.as_deref());
    let absent: Vec<&&Key> = own.iter().filter(required).filter(|key| !table.contains_key(key.name())).collect();
    absent.iter().for_each(|key| missing(Some(key), problems));
    if !absent.is_empty() {
        own.iter().map(|key| key.path).chain([tag]).for_each(|path| drop(remove(tree, path)));
    }
}

/// Reports a missing key, unless its value was rejected and removed.
fn missing(key: Option<&Key>, problems: &mut Problems) {
    if let Some(key) = key.filter(|key| !problems.mention(key.path)) {
        problems.push(key.missing());
    }
}

/// The message about a key that does not belong to a tag's value `chosen`.
fn foreign(key: &Key, tag: &'static str, chosen: &str) -> String {
    let names: Vec<String> = all()
        .filter(|k| k.path == key.path)
        .filter_map(|k| k.of)
        .flat_map(|of| of.names)
        .map(|name| format!("{name:?}"))
        .collect();
    let (table, name) = (parent(tag), crate::key::last(tag));
    let listed = match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    };
    format!(
        "{}: {tag} = \"{chosen}\" has no such option, which belongs to {}; to drop the options of another {name}, give the \
         whole table: {table} = {{ {name} = \"{chosen}\" }}",
        key.path, listed
    )
}
