//! One self-contained HTML page from run and sweep directories: no script, nothing is fetched, and the same directories
//! give the same bytes.
//!
//! `load` reads directories, `live` says what runs under way have done, `order` reads the order of a sweep's cells, `cells` groups
//! runs that differ in their seed only, `table`, `detector`, `pictures` and `curves` make the sections, `page` assembles the page.

pub mod bootstrap;
pub mod cells;
mod curves;
pub mod demo;
mod detector;
pub mod live;
pub mod load;
mod matrix;
pub mod names;
mod order;
mod page;
mod pictures;
pub mod plan;
mod shrink;
pub mod svg;
pub mod table;
pub mod text;
mod thin;

#[cfg(test)]
mod fixture;

pub use live::Live;
pub use load::{Inputs, load, load_live};
pub use plan::PlanFacts;

use crate::{Error, Result};

/// Start of every page; a file that starts like this may be replaced by a newer one.
pub const BEGIN: &str =
    "<!DOCTYPE html>\n<!-- made by fedgan report: a newer report may replace this file -->\n<html lang=\"en\">\n";

/// A finished page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The file.
    pub html: String,
    /// Summary of the input: `3 runs in 2 cells`.
    pub summary: String,
    /// The page's remarks.
    pub remarks: Vec<String>,
}

/// Makes the page; `reference` names the cell with which the others are compared (default: the first).
///
/// # Errors
/// [`Error::Input`] if `reference` is not a cell (names the cells), or there is no run.
pub fn render(inputs: &Inputs, reference: Option<&str>) -> Result<Page> {
    render_live(inputs, reference, None)
}

/// [`render`] for runs under way: the page says what `live` says, and browsers load it again.
///
/// # Errors
/// As [`render`].
pub fn render_live(inputs: &Inputs, reference: Option<&str>, live: Option<&Live>) -> Result<Page> {
    let mut remarks = inputs.remarks.clone();
    let cells = cells::group(inputs, &mut remarks);
    if cells.is_empty() {
        return Err(Error::input("no run directory given"));
    }
    let reference = match reference {
        None => 0,
        Some(name) => cells.iter().position(|c| c.label == name).ok_or_else(|| {
            let labels: Vec<String> = cells.iter().map(|c| format!("\"{}\"", c.label)).collect();
            Error::input(format!("--reference {name:?}: no such cell; there are {}", labels.join("; ")))
        })?,
    };
    Ok(Page { html: page::page(&cells, reference, &remarks, live), summary: table::counts(&cells), remarks })
}

#[cfg(test)]
mod tests;
