//! Reasons why cells were left out, as files in the sweep's directory, so that other processes do not try them again and the
//! table lists them.

use super::claim::Process;
use crate::report::run_dir::replace_file;
use crate::{Error, Result, input};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Why a cell was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeftOut {
    /// `input`, `verdict` or `not-finite`.
    kind: String,
    /// The reason, without the cell's name.
    pub reason: String,
    /// The process that left it out.
    pub by: Process,
}

impl LeftOut {
    pub fn new(error: &Error) -> LeftOut {
        let kind = match error {
            Error::NotFinite(_) => "not-finite",
            Error::Verdict(_) => "verdict",
            _ => "input",
        };
        LeftOut { kind: kind.into(), reason: error.to_string(), by: Process::own() }
    }

    /// Converts the note back to an error with `text`.
    fn error(&self, text: String) -> Error {
        match self.kind.as_str() {
            "not-finite" => Error::NotFinite(text),
            "verdict" => Error::Verdict(text),
            _ => Error::Input(text),
        }
    }

    /// The reason without its numbers, which often differ between seeds.
    pub fn shape(&self) -> String {
        self.reason.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
    }

    fn file(folder: &Path, cell: &str) -> PathBuf {
        folder.join(format!("{cell}.json"))
    }

    /// The note on a cell, if a readable one exists.
    pub fn read(folder: &Path, cell: &str) -> Option<LeftOut> {
        serde_json::from_str(&input::read_text(&LeftOut::file(folder, cell), input::SUMMARY).ok()?).ok()
    }

    /// All notes, by cell directory.
    pub fn read_all(folder: &Path) -> BTreeMap<String, LeftOut> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let cells = entries.filter_map(|e| Some(e.file_name().to_str()?.strip_suffix(".json")?.to_string()));
        cells.filter_map(|cell| Some((cell.clone(), LeftOut::read(folder, &cell)?))).collect()
    }

    /// Writes the note on a cell, or removes it.
    pub fn write(folder: &Path, cell: &str, note: Option<&LeftOut>) -> Result<()> {
        let path = LeftOut::file(folder, cell);
        match note {
            Some(note) => {
                fs::create_dir_all(folder).map_err(|e| Error::output(folder, e))?;
                let text = serde_json::to_string(note).map_err(|e| Error::internal(format!("JSON: {e}")))?;
                replace_file(&path, text.as_bytes())
            }
            None => match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::output(&path, e)),
                _ => Ok(()),
            },
        }
    }
}

/// Lists the cells that were left out, each reason once with its cells.
pub(super) fn errors(all: &[(String, LeftOut)]) -> Vec<Error> {
    let mut groups: Vec<(&LeftOut, Vec<&(String, LeftOut)>)> = Vec::new();
    for one in all {
        match groups.iter_mut().find(|(first, _)| first.kind == one.1.kind && first.shape() == one.1.shape()) {
            Some((_, group)) => group.push(one),
            None => groups.push((&one.1, vec![one])),
        }
    }
    let told = |(first, group): (&LeftOut, Vec<&(String, LeftOut)>)| {
        let names: Vec<&str> = group.iter().map(|(name, _)| name.as_str()).collect();
        let same = group.iter().all(|(_, other)| other.reason == first.reason);
        let text = match names.as_slice() {
            [name] => format!("cell {name}: {}", first.reason),
            names if same => format!("cells {}: {}", listed(names), first.reason),
            names => format!("cells {}: {} (in {}; other numbers in others)", listed(names), first.reason, names[0]),
        };
        first.error(text)
    };
    groups.into_iter().map(told).collect()
}

fn listed(names: &[&str]) -> String {
    match names.len() {
        0..=12 => names.join(", "),
        n => format!("{} and {} more", names[..12].join(", "), n - 12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_for_all_of_its_cells() {
        let left = |cell: &str, error: Error| (cell.to_string(), LeftOut::new(&error));
        let few = |n: u32| Error::input(format!("client {n} holds {} images", 10 * n));
        let all = [
            left("a-s1", few(1)),
            left("b-s1", Error::NotFinite("D weights".into())),
            left("a-s2", few(2)),
            left("b-s2", Error::input("other")),
            left("c-s1", Error::input("other")),
        ];
        let texts: Vec<String> = errors(&all).iter().map(Error::to_string).collect();
        assert_eq!(
            texts,
            [
                "cells a-s1, a-s2: client 1 holds 10 images (in a-s1; other numbers in others)",
                "cell b-s1: D weights",
                "cells b-s2, c-s1: other"
            ]
        );
        assert!(matches!(errors(&all)[1], Error::NotFinite(_)));
        let many: Vec<(String, LeftOut)> = (0..100).map(|i| left(&format!("c{i}"), Error::input("x"))).collect();
        assert!(errors(&many)[0].to_string().contains("c11 and 88 more: x"));
    }

    #[test]
    fn notes_come_back_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("notes");
        assert!(LeftOut::read_all(&folder).is_empty());
        let note = LeftOut::new(&Error::input("too few"));
        LeftOut::write(&folder, "a-s1", Some(&note)).unwrap();
        assert_eq!(LeftOut::read_all(&folder), BTreeMap::from([("a-s1".to_string(), note)]));
        LeftOut::write(&folder, "a-s1", None).unwrap();
        LeftOut::write(&folder, "a-s1", None).unwrap();
        assert!(LeftOut::read(&folder, "a-s1").is_none());
    }
}
