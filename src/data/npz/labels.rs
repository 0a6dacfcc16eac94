//! The classes of the images.

use super::{Array, array};
use crate::data::element::Element;
use crate::data::natural;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::io::{Read, Seek};
use std::path::Path;

const NAME: &str = "train_labels";
/// Maximum labels per image.
const MOST: usize = 1024;

/// The classes of a set.
pub(super) struct Labels {
    /// Names, in order.
    pub classes: Vec<String>,
    /// `[n]`: index into `classes`.
    pub of_image: Vec<u32>,
    /// A line about labels with more than one number per image.
    pub note: Option<String>,
    /// False if the file has no labels and all images are one class.
    pub found: bool,
}

/// The labels of `n` images: `[n]` or `[n, 1]` integers, each a class; `[n, k]`, each combination a class; or none,
/// which is one class.
pub(super) fn labels(archive: &mut super::Archive<impl Read + Seek>, path: &Path, n: usize) -> Result<Labels> {
    if !archive.has(NAME) {
        return Ok(Labels { classes: vec!["all".into()], of_image: vec![0; n], note: None, found: false });
    }
    let array = array(archive, path, NAME, n.saturating_mul(MOST))?;
    let bad = |what: String| Error::file(path, format!("{NAME} has {what}"));
    let columns = match array.shape[..] {
        [rows] if rows == n => 1,
        [rows, columns @ 1..=MOST] if rows == n => columns,
        _ => return Err(bad(format!("shape {:?}, expected [{n}], [{n}, 1] or several labels per image", array.shape))),
    };
    let values = values(&array).map_err(bad)?;
    if columns == 1 {
        let distinct: Vec<i128> = BTreeSet::from_iter(values.iter().copied()).into_iter().collect();
        let of_image = values.iter().map(|v| distinct.partition_point(|d| d < v) as u32).collect();
        let classes = distinct.iter().map(ToString::to_string).collect();
        return Ok(Labels { classes, of_image, note: None, found: true });
    }
    Ok(combinations(&values, columns))
}

fn values(array: &Array) -> Result<Vec<i128>, String> {
    let descr = array.dtype.descr();
    let element = Element::of(&array.dtype).ok_or_else(|| format!("type {descr}, expected an integer type"))?;
    let values = array.bytes.chunks_exact(element.width).map(|bytes| element.integer(bytes));
    let whole = values.collect::<Option<Vec<i128>>>();
    whole.ok_or_else(|| format!("type {descr} and values that are not integers, expected classes"))
}

/// Each combination of an image's labels is a class, named by the columns of the ones for zeros and ones (`2+7`,
/// `none`), and by all numbers otherwise.
fn combinations(values: &[i128], columns: usize) -> Labels {
    let marks = values.iter().all(|v| matches!(v, 0 | 1));
    let name = |row: &[i128]| {
        let ones = row.iter().enumerate().filter(|(_, v)| **v == 1).map(|(i, _)| i.to_string());
        let parts: Vec<String> = if marks { ones.collect() } else { row.iter().map(ToString::to_string).collect() };
        match (marks, parts.is_empty()) {
            (true, true) => "none".to_string(),
            (true, false) => parts.join("+"),
            (false, _) => parts.join(","),
        }
    };
    let names: Vec<String> = values.chunks_exact(columns).map(name).collect();
    let mut classes: Vec<String> = names.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    classes.sort_by(|a, b| natural::compare(a, b));
    let of_image = names.iter().map(|n| classes.partition_point(|c| natural::compare(c, n).is_lt()) as u32).collect();
    let note = Some(format!("labels    {columns} per image; each of their {} combinations is a class", classes.len()));
    Labels { classes, of_image, note, found: true }
}
