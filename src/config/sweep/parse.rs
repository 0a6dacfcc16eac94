//! Parses a sweep's TOML to a [`Sweep`]: rejects unknown keys and collects all mistakes with their paths.

use super::{Assignment, Axis, AxisValue, MOST_RUNS, RESERVED, Sweep, base, base_file, cell_name, product};
use crate::config::{Problems, keys, set};
use std::collections::BTreeSet;
use std::path::Path;
use toml::{Table, Value};

/// Keys that only the grid itself sets, with the reason.
const OWN: [(&str, &str); 3] = [
    ("seed", "`seeds` sets it"),
    ("name", "a run is named after its cell"),
    ("resolved", "it belongs to the plan of a finished run"),
];

/// Largest number of axes: with more, cell names would be too long.
const MOST_AXES: usize = 100;

/// Allowed characters of names, which become directory names.
const PLAIN: &str = "letters, digits, `-`, `_` or `.`, not starting with `.`, at most 100";

pub(super) fn sweep(table: &Table, folder: Option<&Path>, problems: &mut Problems) -> Option<Sweep> {
    allow(table, "", &["name", "base", "seeds", "set", "axis"], problems);
    let name = text(table, "", "name", problems);
    if let Some(name) = &name {
        problems.require(plain(name), "name", format!("{name:?}"), PLAIN);
    } else if !table.contains_key("name") {
        problems.push("name: missing; it names the sweep's directory".into());
    }
    let base_name = match table.contains_key("base") {
        true => text(table, "", "base", problems),
        false => Some("default".into()),
    };
    let draft = base_name.as_deref().and_then(|name| match base(name, folder) {
        Ok(draft) => Some(draft),
        Err(error) => {
            problems.push(format!("base = {name:?}: {error}"));
            None
        }
    });
    let seeds = seeds(table, problems);
    let set = assigned(table, "", problems);
    let axes = axes(table, problems);
    cross_check(&axes, seeds.len(), problems);
    let base_file = base_name.as_deref().and_then(|name| base_file(name, folder));
    Some(Sweep { name: name?, base: base_name?, seeds, set, axes, draft: draft?, base_file })
}

/// Refuses keys other than `allowed`.
fn allow(table: &Table, at: &str, allowed: &[&str], problems: &mut Problems) {
    for key in table.keys().filter(|key| !allowed.contains(&key.as_str())) {
        problems.push(format!("{at}{key}: unknown key; allowed are `{}`", allowed.join("`, `")));
    }
}

fn text(table: &Table, at: &str, key: &str, problems: &mut Problems) -> Option<String> {
    let value = table.get(key)?;
    let text = value.as_str().map(String::from);
    problems.require(text.is_some(), &format!("{at}{key}"), value, "a string");
    text
}

fn plain(name: &str) -> bool {
    let fits = !name.is_empty() && name.len() <= 100 && !name.starts_with('.');
    fits && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn seeds(table: &Table, problems: &mut Problems) -> Vec<u64> {
    let Some(value) = table.get("seeds") else {
        problems.push("seeds: missing; such as seeds = [1, 2, 3]".into());
        return Vec::new();
    };
    let read = |v: &Value| v.as_integer().and_then(|i| u64::try_from(i).ok());
    let seeds: Option<Vec<u64>> = value.as_array().and_then(|list| list.iter().map(read).collect());
    let allowed = "a list of at least one whole number, each from 0 and given once";
    let once = |seeds: &Vec<u64>| !seeds.is_empty() && seeds.iter().collect::<BTreeSet<_>>().len() == seeds.len();
    match seeds.filter(once) {
        Some(seeds) => seeds,
        None => {
            problems.refuse("seeds", value, allowed);
            Vec::new()
        }
    }
}

/// The `set` of `table`, whose path is `at`.
fn assigned(table: &Table, at: &str, problems: &mut Problems) -> Vec<Assignment> {
    let at = format!("{at}set");
    match table.get("set") {
        None => Vec::new(),
        Some(Value::Table(table)) => {
            let mut all: Vec<Assignment> = Vec::new();
            for (key, value) in table {
                all.extend(assignments(key, value.clone(), &format!("{at}.{key}"), problems));
            }
            let paths: Vec<&str> = all.iter().map(|a| a.path.as_str()).collect();
            for path in repeated(&paths) {
                problems.push(format!("{at}: sets `{path}` twice"));
            }
            // With more paths than keys, some are unknown or repeated, which was reported above.
            let few = if paths.len() <= keys::all().count() { &paths[..] } else { &[] };
            for (i, a) in few.iter().enumerate() {
                for b in few[i + 1..].iter().filter(|b| set::exclude(a, b)) {
                    problems.push(format!("{at}: sets `{a}` and `{b}`, which exclude each other"));
                }
            }
            all
        }
        Some(other) => {
            problems.refuse(&at, other, "a table of keys, such as { \"train.lr\" = 1e-4 }");
            Vec::new()
        }
    }
}

/// `path = value` as assignments: one per key of a table, unless the table replaces the old one as a whole. Keys must be known;
/// former paths are converted to present ones.
pub(super) fn assignments(path: &str, value: Value, at: &str, problems: &mut Problems) -> Vec<Assignment> {
    let path = keys::current(path);
    match value {
        Value::Table(table) if !set::replaces(path, &table) => {
            let inner = table.into_iter();
            inner
                .flat_map(|(key, value)| assignments(&format!("{path}.{key}"), value, &format!("{at}.{key}"), problems))
                .collect()
        }
        value => {
            if let Some((_, why)) = OWN.iter().find(|own| own.0 == path.split('.').next().unwrap_or_default()) {
                problems.push(format!("{at}: cannot be set in a sweep: {why}"));
            } else if !keys::is_known(path) {
                problems.push(keys::unknown(at, path, problems));
            }
            vec![Assignment { path: path.into(), value }]
        }
    }
}

fn axes(table: &Table, problems: &mut Problems) -> Vec<Axis> {
    match table.get("axis") {
        None => Vec::new(),
        Some(Value::Array(axes)) if axes.len() > MOST_AXES => {
            problems.refuse("axis", format!("{} axes", axes.len()), &format!("at most {MOST_AXES}"));
            Vec::new()
        }
        Some(Value::Array(axes)) if axes.iter().all(Value::is_table) => {
            let tables = axes.iter().filter_map(Value::as_table).enumerate();
            tables.filter_map(|(i, table)| axis(table, &format!("axis[{i}]."), problems)).collect()
        }
        Some(other) => {
            problems.refuse("axis", other, "a list of tables, each headed [[axis]]");
            Vec::new()
        }
    }
}

fn axis(table: &Table, at: &str, problems: &mut Problems) -> Option<Axis> {
    allow(table, at, &["name", "value", "key", "values"], problems);
    let short = table.contains_key("key") || table.contains_key("values");
    if short == table.contains_key("value") {
        let what = "expected either [[axis.value]] tables, or `key` and `values`";
        problems.push(format!("{}: {what}", at.trim_end_matches('.')));
        return None;
    }
    let key = text(table, at, "key", problems);
    let given = text(table, at, "name", problems);
    let name = given.or(key.clone().filter(|_| !table.contains_key("name")));
    if name.is_none() && !table.contains_key("name") && !short {
        problems.push(format!("{at}name: missing; it is the heading of a results column"));
    }
    let values = if short { short_values(table, at, key, problems) } else { long_values(table, at, problems) };
    let name = name?;
    let allowed = format!("{PLAIN}, and none of {}", RESERVED.join(", "));
    problems.require(plain(&name) && !RESERVED.contains(&name.as_str()), &format!("{at}name"), quoted(&name), &allowed);
    Some(Axis { name, values })
}

fn long_values(table: &Table, at: &str, problems: &mut Problems) -> Vec<AxisValue> {
    let tables =
        table.get("value").and_then(Value::as_array).filter(|a| !a.is_empty() && a.iter().all(Value::is_table));
    let Some(tables) = tables else {
        problems.push(format!("{at}value: must be at least one table, each headed [[axis.value]]"));
        return Vec::new();
    };
    let mut values = Vec::new();
    for (i, table) in tables.iter().filter_map(Value::as_table).enumerate() {
        let at = format!("{at}value[{i}].");
        allow(table, &at, &["name", "set"], problems);
        let set = assigned(table, &at, problems);
        match text(table, &at, "name", problems) {
            Some(name) => {
                problems.require(plain(&name), &format!("{at}name"), quoted(&name), PLAIN);
                values.push(AxisValue { name, set });
            }
            None if !table.contains_key("name") => {
                problems.push(format!("{at}name: missing; it is part of cell names"));
            }
            None => {}
        }
    }
    values
}

fn short_values(table: &Table, at: &str, key: Option<String>, problems: &mut Problems) -> Vec<AxisValue> {
    if key.is_none() && !table.contains_key("key") {
        problems.push(format!("{at}key: missing beside `values`"));
    }
    let Some(list) = table.get("values").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
        problems.push(format!("{at}values: must be a list of at least one value of `key`"));
        return Vec::new();
    };
    let Some(key) = key else { return Vec::new() };
    let mut values = Vec::new();
    for (i, value) in list.iter().enumerate() {
        let name = value_name(&key, value);
        let advice = format!("a value that makes a name ({PLAIN}); others take a name in [[axis.value]]");
        problems.require(plain(&name), &format!("{at}values[{i}]"), value, &advice);
        let path = keys::current(&key).to_string();
        values.push(AxisValue { name, set: vec![Assignment { path, value: value.clone() }] });
    }
    // The key is the same for all values: one message is enough.
    assignments(&key, list[0].clone(), &format!("{at}key = \"{key}\""), problems);
    values
}

/// The name of a value of `key` in the short form: numbers and words unchanged, lists joined by `_`, tables by their tag.
fn value_name(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => format!("{number:?}"),
        Value::Array(list) if list.is_empty() => "none".into(),
        Value::Array(list) => list.iter().map(|v| value_name(key, v)).collect::<Vec<_>>().join("_"),
        Value::Table(table) => keys::tag_value(key, table).unwrap_or_default().into(),
        other => other.to_string(),
    }
}

/// Checks across axes: repeated names, keys set by two axes, too many runs, cells of the same name.
fn cross_check(axes: &[Axis], seeds: usize, problems: &mut Problems) {
    let names: Vec<&str> = axes.iter().map(|a| a.name.as_str()).collect();
    for name in repeated(&names) {
        problems.push(format!("axis: the name `{name}` is given twice"));
    }
    for axis in axes {
        let names: Vec<&str> = axis.values.iter().map(|v| v.name.as_str()).collect();
        for name in repeated(&names) {
            problems.push(format!("axis `{}`: the value `{name}` is given twice", axis.name));
        }
    }
    let runs = axes.iter().fold(seeds, |runs, axis| runs.saturating_mul(axis.values.len()));
    if runs > MOST_RUNS || problems.is_full() {
        // Comparing the axes of such a grid would take long.
        if runs > MOST_RUNS {
            problems.push(format!("the grid has {runs} runs, at most {MOST_RUNS} are allowed"));
        }
        return;
    }
    for (i, axis) in axes.iter().enumerate() {
        let paths: BTreeSet<&String> = axis.values.iter().flat_map(|v| &v.set).map(|a| &a.path).collect();
        for other in &axes[i + 1..] {
            for path in paths.iter().filter(|path| other.sets(path)) {
                problems.push(format!("axis `{}` and axis `{}` both set `{path}`", axis.name, other.name));
            }
        }
    }
    if problems.is_empty() {
        cell_names(axes, problems);
    }
}

/// Names joined by `-` can coincide ("a-b" with "c", "a" with "b-c"), and some file systems do not distinguish "A" from "a".
fn cell_names(axes: &[Axis], problems: &mut Problems) {
    let names: Vec<String> = product(axes).iter().map(|values| cell_name(values)).collect();
    for name in repeated(&names.iter().map(String::as_str).collect::<Vec<_>>()) {
        problems.push(format!("two cells have the name `{name}`; rename a value"));
    }
    if let Some(long) = names.iter().find(|name| name.len() > 200) {
        problems.push(format!("the name of the cell `{long}` has more than 200 characters; shorten a value's name"));
    }
}

/// The names that occur more than once in the list, ignoring case.
fn repeated(names: &[&str]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let again: BTreeSet<String> = names.iter().map(|n| n.to_lowercase()).filter(|n| !seen.insert(n.clone())).collect();
    again.into_iter().collect()
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}
