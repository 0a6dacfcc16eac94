//! `--set a.b=c`: overrides of single keys in the TOML tree.

use super::{keys, text};
use crate::{Error, Result, input};
use toml::{Table, Value};

/// The path and the value of `--set key.path=value`. The value is read as TOML, or as a plain string if it is not TOML.
///
/// # Errors
/// If there is no `=`.
pub fn split(assignment: &str) -> Result<(String, Value)> {
    let (path, text) =
        assignment.split_once('=').ok_or_else(|| refused(assignment, "expected KEY=VALUE, such as train.lr=0.0002"))?;
    Ok((path.trim().to_string(), parse(text.trim())))
}

/// The error about a `--set`.
pub fn refused(assignment: &str, what: &str) -> Error {
    Error::input(format!("--set {}: {what}", input::shorten(assignment, 200)))
}

/// Sets the key at the dotted `path`, which may be a former one, in `tree`. A table with its tag, such as `kind`, or an empty
/// table replaces the old one, so that no option of another kind remains; other tables are merged key by key.
///
/// # Errors
/// The reason: an empty path segment, too many of them, or a path that runs through a value that is not a table.
pub fn assign(tree: &mut Table, path: &str, value: Value) -> Result<(), String> {
    let path = keys::current(path);
    let segments: Vec<&str> = path.split('.').collect();
    if segments.iter().any(|s| s.is_empty()) {
        return Err("expected a key path such as train.lr".into());
    }
    if segments.len() > text::MOST_PARTS {
        return Err(format!("a key of {} parts, at most {} are allowed", segments.len(), text::MOST_PARTS));
    }
    match value {
        Value::Table(table) if !replaces(path, &table) => {
            table.into_iter().try_for_each(|(key, value)| assign(tree, &format!("{path}.{key}"), value))
        }
        value => insert(tree, &segments, path, value),
    }
}

/// Whether a table at `path` replaces the old one as a whole.
pub fn replaces(path: &str, table: &Table) -> bool {
    table.is_empty() || keys::tag_value(path, table).is_some()
}

/// Whether setting one path changes a value set by the other.
pub fn overlap(a: &str, b: &str) -> bool {
    a == b || inside(a, b) || inside(b, a) || exclude(a, b)
}

/// Whether `inner` is a key in the table at `outer`, at any depth.
pub fn inside(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether two keys exclude each other.
pub fn exclude(a: &str, b: &str) -> bool {
    keys::all().any(|key| key.path == a && key.excludes == Some(b))
}

fn insert(tree: &mut Table, segments: &[&str], path: &str, value: Value) -> Result<(), String> {
    if let Some(other) = keys::all().find(|key| key.path == path).and_then(|key| key.excludes) {
        keys::remove(tree, other);
    }
    let (last, tables) = segments.split_last().ok_or("expected a key path")?;
    let mut at = tree;
    for segment in tables {
        at = match at.entry(*segment).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(table) => table,
            _ => return Err(format!("`{segment}` is a value, not a table")),
        };
    }
    at.insert(last.to_string(), value);
    Ok(())
}

fn parse(text: &str) -> Value {
    match text::table(&format!("value = {text}")) {
        Ok(mut table) if table.len() == 1 => table.remove("value").unwrap_or_else(|| Value::String(text.into())),
        _ => Value::String(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(tree: &mut Table, assignment: &str) -> Result<()> {
        let (path, value) = split(assignment)?;
        assign(tree, &path, value).map_err(|what| refused(assignment, &what))
    }

    fn after(start: &str, assignment: &str) -> String {
        let mut tree: Table = start.parse().unwrap();
        set(&mut tree, assignment).unwrap();
        tree.to_string()
    }

    #[test]
    fn values_are_toml_or_strings() {
        assert_eq!(after("", "rounds=5"), "rounds = 5\n");
        assert_eq!(after("", "name=a b"), "name = \"a b\"\n");
        assert_eq!(after("", "name=\"5\""), "name = \"5\"\n");
        assert_eq!(after("", "data.path=a=b"), "[data]\npath = \"a=b\"\n");
        assert_eq!(after("", "attack.malicious=[0, 2]"), "[attack]\nmalicious = [0, 2]\n");
        assert_eq!(after("", "name=1\nrounds = 2"), "name = \"\"\"\n1\nrounds = 2\"\"\"\n");
    }

    #[test]
    fn exclusive_keys_replace_each_other() {
        assert_eq!(after("[train]\nlocal_epochs = 1", "train.local_steps=4"), "[train]\nlocal_steps = 4\n");
    }

    #[test]
    fn tables_with_a_kind_replace_and_others_are_merged() {
        let start = "[detection]\nkind = \"isolation-forest\"\nwarmup = 3\n\n[train]\nbatch = 4\nlocal_epochs = 1\n";
        let replaced = after(start, "detection={ kind = \"none\" }");
        assert!(replaced.contains("[detection]\nkind = \"none\"\n") && !replaced.contains("warmup"), "{replaced}");
        let merged = after(start, "train={ lr = 0.5, local_steps = 2 }");
        assert!(merged.contains("batch = 4") && merged.contains("lr = 0.5"), "{merged}");
        assert!(merged.contains("local_steps = 2") && !merged.contains("local_epochs"), "{merged}");
    }

    #[test]
    fn paths_overlap_when_one_undoes_the_other() {
        for (a, b) in [("a", "a"), ("a", "a.b"), ("train.local_epochs", "train.local_steps")] {
            assert!(overlap(a, b) && overlap(b, a), "{a} {b}");
        }
        assert!(!overlap("train.lr", "train.lr2") && !overlap("train.lr", "train.batch"));
    }

    #[test]
    fn refuses_what_is_no_assignment() {
        let mut tree: Table = "rounds = 3".parse().unwrap();
        for bad in ["rounds", "=3", "a..b=1", "rounds.x=1"] {
            assert_eq!(set(&mut tree, bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
