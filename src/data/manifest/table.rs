//! The lines of a manifest.

use super::Mistakes;
use crate::data::walk::MAX_IMAGES;
use crate::input::shorten;
use csv::{ByteRecord, ReaderBuilder, Trim};
use std::collections::HashMap;
use std::path::{Component, Path};

/// Columns that are read.
const COLUMNS: [&str; 4] = ["file", "label", "client", "patient"];
/// Maximum columns of a file.
const MOST_COLUMNS: usize = 1000;
/// Maximum bytes of a file's name and of another field.
const LONGEST_FILE: usize = 4096;
const LONGEST: usize = 256;
/// Maximum labels of an image.
const MOST_LABELS: usize = 1024;
/// Maximum bytes of a field in a message.
const FOUND: usize = 200;

/// An image as listed. Fields of absent columns are empty.
pub(super) struct Row {
    /// Line of the file, from 1.
    pub line: u64,
    pub file: String,
    /// The first label.
    pub label: String,
    pub client: String,
    pub patient: String,
}

impl Row {
    /// The name of its file, for a message.
    pub fn shown(&self) -> String {
        shorten(&self.file, FOUND)
    }
}

/// A list without mistakes.
#[derive(Default)]
pub(super) struct Table {
    pub rows: Vec<Row>,
    /// Whether there is a column for it.
    pub labels: bool,
    pub clients: bool,
    /// Number of images with several labels.
    pub several: usize,
    /// Names of columns that are not read.
    pub passed: Vec<String>,
}

impl Table {
    /// Reads a list with a header; what is wrong with it is added to `mistakes`.
    pub fn read(bytes: &[u8], mistakes: &mut Mistakes) -> Table {
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(bytes);
        let (mut record, mut table) = (ByteRecord::new(), Table::default());
        let Ok(true) = reader.read_byte_record(&mut record) else {
            mistakes.push(1, format!("no header, must name the columns {}", allowed()));
            return table;
        };
        let lines = Lines { bytes, at: 0, line: 1 };
        let Some(columns) = table.header(&record, mistakes) else { return table };
        let mut body = Body { columns, width: record.len(), lines, seen: Seen::default() };
        while let Ok(true) = reader.read_byte_record(&mut record) {
            let line = body.lines.number(record.position().map_or(0, |p| p.byte() as usize));
            if table.rows.len() >= MAX_IMAGES {
                mistakes.push(line, format!("more than {MAX_IMAGES} images"));
                break;
            }
            let row = body.row(&record, line, mistakes);
            table.several += usize::from(row.1);
            table.rows.push(row.0);
        }
        if table.rows.is_empty() {
            mistakes.push(2, "no image, must name a file".into());
        }
        table
    }

    /// The position of each of [`COLUMNS`]; `None` without the first.
    fn header(&mut self, header: &ByteRecord, mistakes: &mut Mistakes) -> Option<[Option<usize>; 4]> {
        let mut columns = [None; 4];
        if header.len() > MOST_COLUMNS {
            mistakes.push(1, format!("{} columns, at most {MOST_COLUMNS} are allowed", header.len()));
            return None;
        }
        for (at, field) in header.iter().enumerate() {
            let name = String::from_utf8_lossy(field).to_lowercase();
            match COLUMNS.iter().position(|column| *column == name) {
                Some(column) if columns[column].is_some() => {
                    mistakes.push(1, format!("two columns `{name}`, must be one"));
                }
                Some(column) => columns[column] = Some(at),
                None => self.passed.push(shorten(&String::from_utf8_lossy(field), FOUND)),
            }
        }
        [_, self.labels, self.clients, _] = columns.map(|column| column.is_some());
        if columns[0].is_none() && header.iter().any(|field| field.contains(&0) || std::str::from_utf8(field).is_err())
        {
            mistakes.push(1, format!("not text in UTF-8, must be a CSV file with the columns {}", allowed()));
            return None;
        }
        if columns[0].is_none() {
            let found = shorten(&String::from_utf8_lossy(&header.iter().collect::<Vec<_>>().join(&b", "[..])), FOUND);
            let hint = if header.len() == 1 && found.contains([';', '\t']) { "; commas separate columns" } else { "" };
            mistakes.push(1, format!("the columns {found:?}, must be {}{hint}", allowed()));
            return None;
        }
        Some(columns)
    }
}

fn allowed() -> String {
    "`file` and, each optional, `label`, `client` and `patient`".into()
}

/// Line numbers of positions in ascending order; blank lines and line breaks in quotes count.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the first byte from `to` on that is not a line break.
    fn number(&mut self, to: usize) -> u64 {
        let breaks = self.bytes.get(to..).unwrap_or_default().iter().take_while(|b| b"\r\n".contains(b)).count();
        let end = (to + breaks).min(self.bytes.len());
        let passed = self.bytes.get(self.at..end).unwrap_or_default();
        self.line += passed.iter().filter(|b| **b == b'\n').count() as u64;
        self.at = end.max(self.at);
        self.line
    }
}

/// What lines are compared with.
#[derive(Default)]
struct Seen {
    /// The line of each file.
    files: HashMap<String, u64>,
    /// The client of each patient, and the line.
    patients: HashMap<String, (String, u64)>,
}

/// The lines after the header.
struct Body<'a> {
    columns: [Option<usize>; 4],
    width: usize,
    lines: Lines<'a>,
    seen: Seen,
}

impl Body<'_> {
    /// An image, and whether it has several labels.
    fn row(&mut self, record: &ByteRecord, line: u64, mistakes: &mut Mistakes) -> (Row, bool) {
        let mut row = Row { line, file: "".into(), label: "".into(), client: "".into(), patient: "".into() };
        if record.len() != self.width {
            mistakes.push(line, format!("{} fields, must be {} as in the header", record.len(), self.width));
            return (row, false);
        }
        let mut text = |column: usize| -> String {
            let Some(at) = self.columns[column] else { return String::new() };
            field(&record[at], column).unwrap_or_else(|what| {
                mistakes.push(line, what);
                String::new()
            })
        };
        let labels;
        [row.file, labels, row.client, row.patient] = [0, 1, 2, 3].map(&mut text);
        let several = match split(&labels) {
            Ok((first, several)) => {
                row.label = first.into();
                several
            }
            Err(what) => {
                mistakes.push(line, what);
                false
            }
        };
        self.compare(&row, mistakes);
        (row, several)
    }

    /// A file is listed once, and a patient is at one client.
    fn compare(&mut self, row: &Row, mistakes: &mut Mistakes) {
        let Row { line, file, client, patient, .. } = row;
        let plain = Path::new(file).components().filter(|c| *c != Component::CurDir);
        let plain = plain.map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        if let Some(first) = self.seen.files.insert(plain, *line).filter(|_| !file.is_empty()) {
            mistakes.push(*line, format!("file {:?} is in line {first} too, must be listed once", row.shown()));
        }
        if patient.is_empty() || client.is_empty() {
            return;
        }
        let (known, first) = self.seen.patients.entry(patient.clone()).or_insert_with(|| (client.clone(), *line));
        if known != client {
            mistakes.push(
                *line,
                format!(
                    "client {:?} for the patient of line {first}, who is at client {:?}: must be at one client (patients of \
                     two clients need different names)",
                    shorten(client, FOUND),
                    shorten(known, FOUND)
                ),
            );
        }
    }
}

/// The text of a field of [`COLUMNS`], or what is wrong with it.
fn field(bytes: &[u8], column: usize) -> Result<String, String> {
    let name = COLUMNS[column];
    // Patients are never shown.
    let shown = || match name {
        "patient" => String::new(),
        _ => format!(" {:?}", shorten(&String::from_utf8_lossy(bytes), FOUND)),
    };
    let most = if column == 0 { LONGEST_FILE } else { LONGEST };
    let most = if name == "label" { most * MOST_LABELS } else { most };
    let refuse = |allowed: &str| Err(format!("{name}{}: must be {allowed}", shown()));
    let Ok(text) = std::str::from_utf8(bytes) else { return refuse("text in UTF-8") };
    if text.is_empty() {
        return Err(format!("no {name}, must have one in every line (or the column must be absent)"));
    }
    if text.len() > most {
        return refuse(&format!("at most {most} bytes long (is a quote not closed?)"));
    }
    if text.contains(char::is_control) {
        return refuse("without control characters");
    }
    let plain = |c: Component| matches!(c, Component::Normal(_) | Component::CurDir);
    if column == 0 && !Path::new(text).components().all(plain) {
        return refuse("a file in the manifest's folder or below, without `..` and without a leading `/`");
    }
    Ok(text.into())
}

/// The first of the labels `a;b`, and whether there are more.
fn split(labels: &str) -> Result<(&str, bool), String> {
    if labels.is_empty() {
        return Ok(("", false));
    }
    let each: Vec<&str> = labels.split(';').map(str::trim).collect();
    let refuse = |allowed: &str| Err(format!("label {:?}: must be {allowed}", shorten(labels, FOUND)));
    match () {
        _ if each.len() > MOST_LABELS => refuse(&format!("at most {MOST_LABELS} labels")),
        _ if each.iter().any(|label| label.is_empty()) => refuse("a class, or several with `;` between them"),
        _ if each.iter().any(|label| label.len() > LONGEST) => refuse(&format!("at most {LONGEST} bytes each")),
        _ => Ok((each[0], each.len() > 1)),
    }
}
