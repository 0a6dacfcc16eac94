//! Embedded sample grids, side by side.

use super::cells::Cell;
use super::load::Run;
use super::shrink::{MOST, Shown, fit};
use super::text::{count, escape};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rayon::prelude::*;

/// An `img` with its caption; `png` has at least a header (see the loader).
pub fn figure(png: &[u8], alt: &str, caption: &str) -> String {
    let side = |at: usize| u32::from_be_bytes([png[at], png[at + 1], png[at + 2], png[at + 3]]);
    format!(
        "<figure><img src=\"data:image/png;base64,{}\" width=\"{}\" height=\"{}\" alt=\"{}\"><figcaption>{caption}</figcaption></figure>\n",
        STANDARD.encode(png),
        side(16),
        side(20),
        escape(alt)
    )
}

fn sample(cell: &Cell, run: &Run, caption: &str, most: usize) -> String {
    let seed = run.plan.seed;
    match &run.grid {
        None => {
            format!("<figure class=\"missing\"><p>No sample grid.</p><figcaption>{caption}</figcaption></figure>\n")
        }
        Some(grid) => {
            let round = grid.round;
            let alt = format!("Generated images of {}, seed {seed}, after {}", cell.label, count(round, "round"));
            let rounds = run.plan.rounds;
            let late = match round == run.done() && round >= rounds {
                true if run.is_finished() => String::new(),
                true => " <span class=\"tag warn\">unfinished</span>".into(),
                false => format!(" <span class=\"tag warn\">{round} of {}</span>", count(rounds, "round")),
            };
            shown(&fit(&grid.png, run, most), &alt, &format!("{caption}{late}"))
        }
    }
}

/// The figure of a grid, which says if it is a part of one.
fn shown(picture: &Shown, alt: &str, caption: &str) -> String {
    match picture.of {
        None => figure(&picture.png, alt, caption),
        Some([keep, columns]) => {
            let part = format!("{keep} of {columns} rows and columns");
            figure(&picture.png, &format!("{alt}, {part}"), &format!("{caption} <span class=\"tag\">{part}</span>"))
        }
    }
}

/// The bytes that each picture of the page may have, if all of them together would have too many.
fn share(cells: &[Cell], real: &[&[u8]]) -> usize {
    let grids = cells.iter().flat_map(|cell| &cell.runs).filter_map(|run| Some(run.grid.as_ref()?.png.len()));
    let sizes: Vec<usize> = grids.chain(real.iter().map(|png| png.len())).collect();
    if sizes.iter().sum::<usize>() <= MOST { usize::MAX } else { MOST / sizes.len().max(1) }
}

/// The first seed of every cell after the real images; the other seeds are folded.
pub fn section(cells: &[Cell]) -> String {
    // Cells usually show the same real images; each distinct grid is embedded once, before the first cell that has it.
    let mut real: Vec<&[u8]> = Vec::new();
    for png in cells.iter().filter_map(|cell| cell.first().real.as_deref()) {
        if !real.contains(&png) {
            real.push(png);
        }
    }
    let most = share(cells, &real);
    // Decoding and encoding take most of the time of a page of many runs.
    let of_cell = |cell: &Cell| {
        let one = |(index, run): (usize, &&Run)| {
            let caption = if index == 0 { format!("{}, ", escape(&cell.label)) } else { String::new() };
            sample(cell, run, &format!("{caption}seed {}", run.plan.seed), most)
        };
        cell.runs.par_iter().enumerate().map(|(index, run)| one((index, run))).collect::<Vec<String>>()
    };
    let figures: Vec<Vec<String>> = cells.par_iter().map(of_cell).collect();
    let mut out = String::from("<div class=\"pictures\">\n");
    let mut left = real.clone();
    for (cell, figures) in cells.iter().zip(&figures) {
        let first = cell.first();
        if let Some(at) = left.iter().position(|png| Some(*png) == first.real.as_deref()) {
            let only = left.len() == real.len();
            let caption = if only { "real images".into() } else { format!("real images of {}", cell.label) };
            out += &shown(&fit(left.remove(at), first, most), &caption, &escape(&caption));
        }
        out += &figures[0];
    }
    out += "</div>\n";
    for (cell, figures) in cells.iter().zip(&figures).filter(|(cell, _)| cell.runs.len() > 1) {
        let seeds: Vec<String> = cell.runs[1..].iter().map(|r| r.plan.seed.to_string()).collect();
        let word = if seeds.len() == 1 { "seed" } else { "seeds" };
        out += &format!("<details><summary>{}, {word} {}</summary>", escape(&cell.label), seeds.join(", "));
        out += &format!("<div class=\"pictures\">\n{}</div></details>\n", figures[1..].concat());
    }
    out
}
