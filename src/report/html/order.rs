//! The order of a sweep's cells according to its `results.csv`: that of the grid, which directory names do not show.

use crate::input;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

/// Names of the cells in the order of their first lines; empty if the file is missing or unreadable (with a remark).
pub fn cells(path: &Path, remarks: &mut Vec<String>) -> Vec<String> {
    let text = match input::read_text(path, input::TABLE) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(e) => return unordered(path, &format!("cannot read: {e}"), remarks),
    };
    match column(&text, "cell") {
        Some(mut names) => {
            let mut seen = BTreeSet::new();
            names.retain(|name| seen.insert(name.clone()));
            names
        }
        None => unordered(path, "not a table with a column `cell`", remarks),
    }
}

/// The runs that the table lists as left out, each with the reason; empty if the table is unreadable.
pub fn left_out(path: &Path) -> Vec<(String, String)> {
    let Ok(text) = input::read_text(path, input::TABLE) else { return Vec::new() };
    let columns = ["cell", "seed", "left_out"].map(|name| column(&text, name));
    let [Some(cells), Some(seeds), Some(reasons)] = columns else { return Vec::new() };
    let runs = cells.into_iter().zip(seeds).map(|(cell, seed)| format!("{cell}-s{seed}"));
    runs.zip(reasons).filter(|(_, reason)| !reason.is_empty()).collect()
}

fn unordered(path: &Path, what: &str, remarks: &mut Vec<String>) -> Vec<String> {
    remarks.push(format!("{}: {what}; cells are in the order of their directories", path.display()));
    Vec::new()
}

/// A column of a CSV table, without its header; `None` if it does not exist, a line is too short or a quote is not
/// closed.
fn column(text: &str, name: &str) -> Option<Vec<String>> {
    let mut lines = lines(text)?.into_iter();
    let at = lines.next()?.iter().position(|head| head == name)?;
    lines.map(|line| line.into_iter().nth(at)).collect()
}

/// The cells of every line (RFC 4180); `None` if a quote is not closed.
fn lines(text: &str) -> Option<Vec<Vec<String>>> {
    let (mut lines, mut line, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => cell.extend(rest.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => line.push(std::mem::take(&mut cell)),
            '\r' if !quoted && rest.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                line.push(std::mem::take(&mut cell));
                lines.push(std::mem::take(&mut line));
            }
            c => cell.push(c),
        }
    }
    if !line.is_empty() || !cell.is_empty() {
        line.push(cell);
        lines.push(line);
    }
    (!quoted).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn runs_that_are_left_out_are_found() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("results.csv");
        assert!(left_out(&path).is_empty());
        fs::write(&path, "cell,seed,left_out,written_by\na,1,,x\na,2,\"too few, by 3\",x\n").unwrap();
        assert_eq!(left_out(&path), [("a-s2".to_string(), "too few, by 3".to_string())]);
        fs::write(&path, "cell,seed\na,1\n").unwrap();
        assert!(left_out(&path).is_empty(), "a table of version 0.1.0");
    }

    #[test]
    fn cells_come_in_the_order_of_their_first_lines() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("results.csv");
        let mut remarks = Vec::new();
        assert!(cells(&path, &mut remarks).is_empty() && remarks.is_empty(), "a missing table is not an error");
        fs::write(&path, "seed,cell,device\r\n1,none,\"a, \"\"b\"\"\nc\"\r\n1,all,x\r\n2,none,x").unwrap();
        assert_eq!(cells(&path, &mut remarks), ["none", "all"]);
        assert!(remarks.is_empty());
        for bad in ["", "seed\n1\n", "seed,cell\n1\n", "cell\n\"x\n"] {
            fs::write(&path, bad).unwrap();
            assert!(cells(&path, &mut remarks).is_empty(), "{bad:?}");
            assert!(remarks.pop().is_some_and(|r| r.contains("results.csv: not a table")), "{bad:?}");
        }
    }
}
