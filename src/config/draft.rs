//! An experiment between its file and its plan: a tree of TOML in which keys can still be set.

use super::{BUILTIN, Plan, Problems, RunConfig, SWEEPS, keys, set, text, validate};
use crate::{Result, input};
use std::path::Path;
use toml::{Table, Value};

/// An experiment as written, before it is checked.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Where it comes from, for messages.
    pub(super) origin: String,
    tree: Table,
    /// Images that cannot be read are left out (`--skip-bad`).
    pub(super) skip_bad: bool,
}

impl Draft {
    /// Reads a file; the built-in experiment of that name where no such file exists; or the default one.
    ///
    /// # Errors
    /// A file that is missing, unreadable or no TOML.
    pub fn read(config: Option<&Path>) -> Result<Draft> {
        let Some(path) = config else { return Draft::parse("built-in experiment".into(), BUILTIN[0].1) };
        match input::read_text(path, input::CONFIG) {
            Ok(text) => Draft::parse(path.display().to_string(), &text),
            Err(error) => {
                // A folder of images may have the name of a built-in experiment.
                let absent = error.kind() == std::io::ErrorKind::NotFound || path.is_dir();
                let builtin = path.to_str().filter(|_| absent).map(Draft::builtin).transpose()?.flatten();
                let (own, sweeps) = (BUILTIN.map(|b| b.0), SWEEPS.map(|s| s.0));
                builtin.ok_or_else(|| super::no_such(path, &error, &own, ("sweep", &sweeps)))
            }
        }
    }

    /// The built-in experiment of this name, if there is one.
    ///
    /// # Errors
    /// When its text is no TOML.
    pub fn builtin(name: &str) -> Result<Option<Draft>> {
        let found = BUILTIN.iter().find(|b| b.0 == name);
        found.map(|(name, text)| Draft::parse(format!("built-in `{name}`"), text)).transpose()
    }

    /// From a text; `origin` names it in messages.
    ///
    /// # Errors
    /// When it is no TOML, too large or too deep.
    pub fn parse(origin: String, text: &str) -> Result<Draft> {
        let mut tree = text::table_of(&origin, text)?;
        expand(&mut tree);
        Ok(Draft { origin, tree, skip_bad: false })
    }

    /// Sets the key at a dotted path. A table that has a `kind` replaces what stood there, others are merged key by key;
    /// of keys that exclude each other the other one is removed.
    ///
    /// # Errors
    /// When the path is empty in part or runs through a value that is not a table; the reason alone.
    pub fn set(&mut self, path: &str, value: Value) -> Result<(), String> {
        set::assign(&mut self.tree, path, value)?;
        expand(&mut self.tree);
        Ok(())
    }

    /// Every mistake goes to `problems`; the plan where there is none.
    pub fn check(mut self, problems: &mut Problems) -> Option<Plan> {
        imply(&mut self.tree, self.skip_bad);
        keys::sift(&mut self.tree, problems);
        let config = deserialise(self.tree, problems);
        validate::plan(config, problems)
    }

    /// The validated plan.
    ///
    /// # Errors
    /// Every mistake in one message.
    pub fn plan(self) -> Result<Plan> {
        let (origin, mut problems) = (self.origin.clone(), Problems::default());
        self.check(&mut problems).ok_or_else(|| problems.into_error(&origin))
    }
}

/// `partition = "iid"` becomes `partition = { kind = "iid" }`, `attack.report = true` the string that it means (so does
/// `--set attack.report=true`).
fn expand(tree: &mut Table) {
    if let Some(Value::Table(attack)) = tree.get_mut("attack")
        && let Some(value @ Value::Boolean(true)) = attack.get_mut("report")
    {
        *value = Value::String("true".into());
    }
    if let Some(Value::Table(federation)) = tree.get_mut("federation")
        && let Some(value @ Value::String(_)) = federation.get_mut("partition")
    {
        *value = Value::Table(Table::from_iter([("kind".to_string(), value.clone())]));
    }
}

/// What a folder of images takes from elsewhere: `--skip-bad`, and client folders from the partition of that name.
fn imply(tree: &mut Table, skip_bad: bool) {
    let kind = |section: Option<&Value>| Some(section?.as_table()?.get("kind")?.as_str()?.to_string());
    let partition = kind(tree.get("federation").and_then(|f| f.as_table()?.get("partition")));
    if kind(tree.get("data")).as_deref() != Some("folder") {
        return;
    }
    if let Some(Value::Table(data)) = tree.get_mut("data") {
        if skip_bad {
            data.insert("skip_bad".into(), Value::Boolean(true));
        }
        if partition.as_deref() == Some("client-folders") {
            data.insert("client_folders".into(), Value::Boolean(true));
        }
    }
}

/// Reads the tree section by section, so that a section that serde refuses does not hide mistakes in the others.
fn deserialise(mut tree: Table, problems: &mut Problems) -> RunConfig {
    tree.retain(|name, value| {
        let alone = Table::from_iter([(name.to_string(), value.clone())]);
        match alone.try_into::<RunConfig>() {
            Ok(_) => true,
            Err(error) => {
                let message = error.message().trim();
                // What was refused already is missing now; `attack.trigger` without its only entry wants one.
                let told = match missing(name, message) {
                    Some(key) => problems.mention(key.path),
                    None => message.starts_with("wanted exactly 1 element") && problems.mention(name),
                };
                !told && problems.push(explain(name, value, message))
            }
        }
    });
    tree.try_into().unwrap_or_default()
}

/// The key that serde misses in a section.
fn missing(section: &str, message: &str) -> Option<&'static keys::Key> {
    let field = message.strip_prefix("missing field `")?.split_once('`')?.0;
    keys::below(section, field)
}

/// What serde says of a section. Unknown keys are gone by now, so that an unknown field is a known key of another kind.
fn explain(section: &str, value: &Value, message: &str) -> String {
    if let Some(key) = missing(section, message) {
        return format!("{}: is missing; {}", key.path, key.meaning());
    }
    let field = message.strip_prefix("unknown field `").and_then(|rest| Some(rest.split_once('`')?.0));
    match field.and_then(|field| Some((field, kind_beside(section, value, field)?))) {
        Some((field, (path, kind))) => format!(
            "{path}.{field}: {path}.kind = \"{kind}\" has no such option{}; to drop the options of another kind, give the \
             whole table: {path} = {{ kind = \"{kind}\" }}",
            keys::below(&path, field).map_or(String::new(), |key| format!(" ({})", key.meaning()))
        ),
        None => format!("{section}: {message}"),
    }
}

/// The path and the kind of the table, at `path` or directly below, that holds `field` beside its `kind`.
fn kind_beside(path: &str, value: &Value, field: &str) -> Option<(String, String)> {
    let table = value.as_table()?;
    let own = |path: &str, table: &Table| {
        let kind = table.get("kind")?.as_str()?;
        table.contains_key(field).then(|| (path.to_string(), kind.to_string()))
    };
    own(path, table).or_else(|| {
        table.iter().find_map(|(name, inner)| inner.as_table().and_then(|t| own(&format!("{path}.{name}"), t)))
    })
}
