//! `--set a.b=c`: overrides of single keys in the TOML tree.

use crate::{Error, Result};
use toml::{Table, Value};

/// Keys of which a file may hold one: setting the first removes the second and the other way round.
const EXCLUSIVE: [(&str, &str); 2] =
    [("train.local_epochs", "train.local_steps"), ("attack.trigger.image", "attack.trigger.pattern")];

/// Sets `assignment` (`key.path=value`) in `tree`. The value is read as TOML, and as a plain string where it is none.
///
/// # Errors
/// When there is no `=`, an empty path segment, or the path runs through a value that is not a table.
pub fn set(tree: &mut Table, assignment: &str) -> Result<()> {
    let fail = |what: &str| Error::input(format!("--set {assignment}: {what}"));
    let (path, text) = assignment.split_once('=').ok_or_else(|| fail("expected KEY=VALUE, such as train.lr=0.0002"))?;
    let path = path.trim();
    let segments: Vec<&str> = path.split('.').collect();
    if segments.iter().any(|s| s.is_empty()) {
        return Err(fail("expected a key path such as train.lr"));
    }
    for (a, b) in EXCLUSIVE {
        match path {
            p if p == a => remove(tree, b),
            p if p == b => remove(tree, a),
            _ => {}
        }
    }
    let (last, tables) = segments.split_last().ok_or_else(|| fail("expected a key path"))?;
    let mut at = tree;
    for segment in tables {
        at = match at.entry(*segment).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(table) => table,
            _ => return Err(fail(&format!("`{segment}` is a value, not a table"))),
        };
    }
    at.insert(last.to_string(), parse(text.trim()));
    Ok(())
}

fn remove(tree: &mut Table, path: &str) {
    match path.split_once('.') {
        Some((head, rest)) => {
            if let Some(Value::Table(inner)) = tree.get_mut(head) {
                remove(inner, rest);
            }
        }
        None => {
            tree.remove(path);
        }
    }
}

fn parse(text: &str) -> Value {
    match format!("value = {text}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => table.remove("value").unwrap_or_else(|| Value::String(text.into())),
        _ => Value::String(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn refuses_what_is_no_assignment() {
        let mut tree: Table = "rounds = 3".parse().unwrap();
        for bad in ["rounds", "=3", "a..b=1", "rounds.x=1"] {
            assert_eq!(set(&mut tree, bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
