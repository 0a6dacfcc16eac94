//! Manifests: a CSV file that lists images with their classes, clients and patients.

mod mistakes;
mod table;

use super::dataset::{Clients, Loaded, check_shape};
use super::files::{AXIS, Decoding, decode, line};
use super::natural;
use super::tally::listed;
use super::walk::{ALL, Entry, FolderOptions, Walk};
use crate::error::count;
use crate::{Error, Result, input};
use mistakes::Mistakes;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use table::{Row, Table};

/// Images that the manifest `path` lists, in its order. Its columns are `file` (relative to the manifest's folder) and,
/// each optional, `label`, `client` and `patient`; others are passed over. Of several labels (`a;b`) the first is the
/// class.
///
/// # Errors
/// Every mistake of the list in one message; images that cannot be read, all in one message, unless `skip_bad` leaves
/// them out; a client without a readable image.
pub fn manifest(path: &Path, size: usize, channels: usize, options: FolderOptions) -> Result<Loaded> {
    load(path, Decoding { size, channels, options, window: None, axis: AXIS })
}

/// [`manifest`] with a window.
pub(super) fn load(path: &Path, form: Decoding) -> Result<Loaded> {
    check_shape(form.size, form.channels)?;
    let ((table, mut mistakes), root) = (lines(path)?, folder_of(path));
    check_files(&table.rows, &root, form.options, &mut mistakes);
    mistakes.or(path, ())?;
    let (names, several, passed) = (clients_of(&table), table.several, passed(&table.passed));
    let (labelled, by_client) = (table.labels, table.clients);
    let entries = table.rows.into_iter().map(|row| entry(row, &root, &names)).collect();
    let (mut loaded, of_image) = decode(&root, path, entries, form)?;
    let mut counts = vec![0; names.len()];
    of_image.iter().for_each(|c| counts[*c as usize] += 1);
    if let Some(empty) = counts.iter().position(|n| *n == 0) {
        return Err(Error::file(path, format!("client {:?} has no readable image", names[empty])));
    }
    let classes = if labelled || !by_client { loaded.dataset.describe_classes() } else { String::new() };
    let mut notes = vec![line(&[clients_note(&names, &counts, by_client), classes, passed])];
    notes.extend(
        (several > 0).then(|| format!("labels    several in {}; the first is the class", count(several, "image"))),
    );
    loaded.notes.splice(0..0, notes);
    loaded.clients = by_client.then_some(Clients { names, of_image });
    loaded.labelled = labelled;
    Ok(loaded)
}

/// Names of the clients that the manifest `path` lists, by id.
///
/// # Errors
/// Mistakes of the list; one without the column `client`.
pub fn manifest_clients(path: &Path) -> Result<Vec<String>> {
    let (table, mistakes) = lines(path)?;
    let table = mistakes.or(path, table)?;
    match table.clients {
        true => Ok(clients_of(&table)),
        false => Err(Error::file(path, "no column `client`, which names the client of each image")),
    }
}

/// The list with its mistakes; its files are not checked.
fn lines(path: &Path) -> Result<(Table, Mistakes)> {
    let bytes = input::read(path, input::MANIFEST).map_err(|e| Error::file(path, e))?;
    let mut mistakes = Mistakes::default();
    Ok((Table::read(&bytes, &mut mistakes), mistakes))
}

/// Checks the lines of a manifest without its files; `path` is named in errors. Returns the number of images.
///
/// # Errors
/// Every mistake in one message.
pub fn check_manifest(bytes: &[u8], path: &Path) -> Result<usize> {
    let mut mistakes = Mistakes::default();
    let table = Table::read(bytes, &mut mistakes);
    mistakes.or(path, table.rows.len())
}

/// The folder that file names start at.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => ".".into(),
    }
}

/// Names of the clients in natural order; a single nameless one without that column.
fn clients_of(table: &Table) -> Vec<String> {
    let names: BTreeSet<&str> = table.rows.iter().map(|row| row.client.as_str()).collect();
    let mut names: Vec<String> = names.into_iter().map(String::from).collect();
    names.sort_by(|a, b| natural::compare(a, b));
    names
}

fn entry(row: Row, root: &Path, names: &[String]) -> Entry {
    let client = names.partition_point(|name| natural::compare(name, &row.client).is_lt()) as u32;
    let class = if row.label.is_empty() { ALL.into() } else { row.label };
    Entry { path: root.join(row.file), class, client, patient: Some(row.patient).filter(|p| !p.is_empty()) }
}

fn clients_note(names: &[String], counts: &[usize], by_client: bool) -> String {
    if !by_client {
        return String::new();
    }
    let numbered: Vec<String> = names.iter().enumerate().map(|(id, name)| format!("{id} {name}")).collect();
    format!("clients   {}", listed(&numbered, counts))
}

/// `passed over: columns age, sex`, or nothing.
fn passed(columns: &[String]) -> String {
    const LISTED: usize = 8;
    let more = columns.len().saturating_sub(LISTED);
    let mut names: Vec<String> = columns.iter().take(LISTED).cloned().collect();
    names.extend((more > 0).then(|| format!("{more} more")));
    if names.is_empty() { String::new() } else { format!("passed over: columns {}", names.join(", ")) }
}

/// Adds files that do not exist or lie outside the manifest's folder to the mistakes; with `skip_bad` missing ones are
/// unreadable images instead.
fn check_files(rows: &[Row], root: &Path, options: FolderOptions, mistakes: &mut Mistakes) {
    let walk = Walk::new(root, options);
    let wrong = |row: &Row| {
        let file = root.join(&row.file);
        match file.metadata() {
            Ok(_) => walk.leads_out(&file),
            Err(_) if options.skip_bad => None,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let slashes = if row.file.contains('\\') { "; folders are separated by /" } else { "" };
                Some(format!("no such file in the manifest's folder{slashes}"))
            }
            Err(e) => Some(e.to_string()),
        }
    };
    // A line whose file's name is wrong has none.
    let named = rows.par_iter().filter(|row| !row.file.is_empty());
    let found: Vec<(&Row, String)> = named.filter_map(|row| Some((row, wrong(row)?))).collect();
    found.into_iter().for_each(|(row, what)| mistakes.push(row.line, format!("file {:?}: {what}", row.shown())));
}

#[cfg(test)]
mod tests;
