//! An experiment between its file and its plan: a TOML tree in which keys can still be set.

use super::plan::Notes;
use super::{BUILTIN, Plan, Problems, RunConfig, SWEEPS, keys, set, text, validate};
use crate::fed::attack::image::IMAGE;
use crate::{Result, input};
use std::path::Path;
use toml::{Table, Value};

/// Former key: the factor of malicious updates, before attacks on updates had a table.
const FORMER_SCALE: &str = "attack.scale";

/// Former table: the trigger's picture or pattern, before attacks on images had a table.
const FORMER_TRIGGER: &str = "attack.trigger";

/// The tag of the partition, and the name of `sites` before there were manifests.
const PARTITION: &str = "federation.partition.kind";
const FORMER_SITES: &str = "client-folders";

/// An experiment as written, before it is checked.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its origin, for messages.
    pub(super) origin: String,
    tree: Table,
    notes: Vec<String>,
    /// Whether to skip unreadable images (`--skip-bad`).
    pub(super) skip_bad: bool,
}

impl Draft {
    /// Reads a file, or the built-in experiment of that name if no such file exists; without a name, the default one.
    ///
    /// # Errors
    /// A file that is missing, unreadable or not TOML.
    pub fn read(config: Option<&Path>) -> Result<Draft> {
        let Some(path) = config else { return Draft::parse("built-in experiment".into(), BUILTIN[0].1) };
        match input::read_text(path, input::CONFIG) {
            Ok(text) => Draft::parse(path.display().to_string(), &text),
            Err(error) => {
                // A folder of images may share its name with a built-in experiment.
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
    /// If its text is not TOML.
    pub fn builtin(name: &str) -> Result<Option<Draft>> {
        let found = BUILTIN.iter().find(|b| b.0 == name);
        found.map(|(name, text)| Draft::parse(format!("built-in `{name}`"), text)).transpose()
    }

    /// Parses a text; `origin` names it in messages.
    ///
    /// # Errors
    /// If it is not TOML, too large or too deep.
    pub fn parse(origin: String, text: &str) -> Result<Draft> {
        let mut tree = text::table_of(&origin, text)?;
        // Tables in short form first: former keys are moved into them.
        expand(&mut tree);
        let mut notes: Vec<String> = keys::rename(&mut tree, keys::all()).into_iter().collect();
        expand(&mut tree);
        notes.extend(former(&mut tree, false));
        Ok(Draft { origin, tree, notes, skip_bad: false })
    }

    /// Sets the key at a dotted path. A table with a tag, such as `kind`, replaces the old one; other tables are merged key by
    /// key. A key replaces the keys that it excludes.
    ///
    /// # Errors
    /// The reason alone: an empty part of the path, or a value on it that is not a table.
    pub fn set(&mut self, path: &str, value: Value) -> Result<(), String> {
        let current = keys::current(path);
        if current != path {
            self.notes.push(keys::renamed(&[(path, current)]));
        }
        set::assign(&mut self.tree, path, value)?;
        expand(&mut self.tree);
        self.notes.extend(former(&mut self.tree, path == FORMER_SCALE));
        Ok(())
    }

    /// Adds every mistake to `problems`; returns the plan if there is none.
    pub fn check(mut self, problems: &mut Problems) -> Option<Plan> {
        imply(&mut self.tree, self.skip_bad);
        let config = RunConfig::read(self.tree, problems)?;
        let plan = validate::plan(config, problems)?;
        let notes = self.notes.into_iter().chain(plan.notes.0).collect();
        Some(Plan { notes: Notes(notes), ..plan })
    }

    /// The configuration, each key within its range; not checked against other keys or the machine.
    ///
    /// # Errors
    /// Every mistake in one message.
    pub fn config(self) -> Result<RunConfig> {
        let mut problems = Problems::default();
        let config = RunConfig::read(self.tree, &mut problems).filter(|_| problems.is_empty());
        config.ok_or_else(|| problems.into_error(&self.origin))
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

/// Expands short forms: a string in place of a table is its tag, so `partition = "iid"` means `partition = { kind = "iid" }`.
/// `attack.report = true` stands for the string "true", also in `--set attack.report=true`.
fn expand(tree: &mut Table) {
    if let Some(Value::Table(attack)) = tree.get_mut("attack")
        && let Some(value @ Value::Boolean(true)) = attack.get_mut("report")
    {
        *value = Value::String("true".into());
    }
    for tag in keys::tags() {
        if let Some(word @ Value::String(_)) = keys::lookup(tree, keys::parent(tag)).cloned() {
            keys::remove(tree, keys::parent(tag));
            keys::insert(tree, tag, word);
        }
    }
}

/// Replaces former keys and values; returns a note for each. `replaces`: a former key overrides the present one, as `--set` does.
fn former(tree: &mut Table, replaces: bool) -> Vec<String> {
    former_trigger(tree);
    former_scale(tree, replaces).into_iter().chain(former_sites(tree)).collect()
}

/// The trigger's keys of versions before attacks on images had a table are moved one by one: what remains is the kind that they
/// belong to, and an empty `[attack.trigger]`.
fn former_trigger(tree: &mut Table) {
    if keys::lookup(tree, FORMER_TRIGGER).and_then(Value::as_table).is_some_and(Table::is_empty) {
        keys::remove(tree, FORMER_TRIGGER);
    }
    if keys::lookup(tree, "attack.image").is_some_and(Value::is_table) && keys::lookup(tree, IMAGE).is_none() {
        keys::insert(tree, IMAGE, Value::String("patch".into()));
    }
}

/// `federation.partition = "client-folders"` is `"sites"` since manifests name clients too.
fn former_sites(tree: &mut Table) -> Option<String> {
    keys::lookup(tree, PARTITION).and_then(Value::as_str).filter(|kind| *kind == FORMER_SITES)?;
    keys::insert(tree, PARTITION, Value::String("sites".into()))?;
    Some(format!("`federation.partition = \"{FORMER_SITES}\"` is now `\"sites\"`; the former name is still accepted"))
}

/// `attack.scale = 2` of versions before 0.2.0 is `attack.update = { kind = "scale", factor = 2 }`, and 1 means no attack on
/// updates. A value that is not a number remains, and is rejected later.
fn former_scale(tree: &mut Table, replaces: bool) -> Option<String> {
    let factor = keys::lookup(tree, FORMER_SCALE).and_then(crate::key::number)?;
    // Given together, neither is chosen: the former key remains, and is rejected as unknown.
    if !replaces && keys::lookup(tree, "attack.update").is_some() {
        return None;
    }
    let value = keys::remove(tree, FORMER_SCALE)?;
    let update = match factor == 1.0 {
        true => Table::from_iter([("kind".to_string(), Value::String("none".into()))]),
        false => Table::from_iter([("kind".to_string(), Value::String("scale".into())), ("factor".into(), value)]),
    };
    let text =
        format!("`{FORMER_SCALE} = {factor}` is now `attack.update = {update}`", update = Value::Table(update.clone()));
    keys::insert(tree, "attack.update", Value::Table(update))?;
    Some(format!("{text}; the former key is still accepted"))
}

/// Sets options of the images that are given elsewhere: `--skip-bad`, and client folders by the partition `sites`.
fn imply(tree: &mut Table, skip_bad: bool) {
    let is = |tag: &str, name: &str| keys::lookup(tree, tag).and_then(Value::as_str) == Some(name);
    let folder = is("data.kind", "folder");
    let client_folders = folder && is(PARTITION, "sites");
    let skip_bad = skip_bad && (folder || is("data.kind", "manifest"));
    for (key, implied) in [("data.skip_bad", skip_bad), ("data.client_folders", client_folders)] {
        if implied {
            keys::insert(tree, key, Value::Boolean(true));
        }
    }
}
