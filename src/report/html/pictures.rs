//! Embedded sample grids, side by side.

use super::cells::Cell;
use super::load::Run;
use super::text::escape;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

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

fn sample(cell: &Cell, run: &Run, caption: &str) -> String {
    let seed = run.plan.seed;
    match &run.grid {
        None => {
            format!("<figure class=\"missing\"><p>No sample grid.</p><figcaption>{caption}</figcaption></figure>\n")
        }
        Some(grid) => {
            let round = grid.round;
            let alt = format!("Generated images of {}, seed {seed}, after {round} rounds", cell.label);
            let rounds = run.plan.rounds;
            let late = match round == run.done() && round >= rounds {
                true if run.is_finished() => String::new(),
                true => " <span class=\"tag warn\">unfinished</span>".into(),
                false => format!(" <span class=\"tag warn\">{round} of {rounds} rounds</span>"),
            };
            figure(&grid.png, &alt, &format!("{caption}{late}"))
        }
    }
}

/// The first seed of every cell after the real images; the other seeds are folded.
pub fn section(cells: &[Cell]) -> String {
    let mut out = String::from("<div class=\"pictures\">\n");
    // Cells usually show the same real images; each distinct grid is embedded once, before the first cell that has it.
    let mut shown: Vec<&[u8]> = Vec::new();
    for cell in cells {
        let first = cell.first();
        match first.real.as_deref() {
            Some(real) if !shown.contains(&real) => {
                let caption =
                    if shown.is_empty() { "real images".into() } else { format!("real images of {}", cell.label) };
                out += &figure(real, &caption, &escape(&caption));
                shown.push(real);
            }
            _ => {}
        }
        let caption = format!("{}, seed {}", escape(&cell.label), first.plan.seed);
        out += &sample(cell, first, &caption);
    }
    out += "</div>\n";
    for cell in cells.iter().filter(|c| c.runs.len() > 1) {
        let others = &cell.runs[1..];
        let seeds: Vec<String> = others.iter().map(|r| r.plan.seed.to_string()).collect();
        let word = if others.len() == 1 { "seed" } else { "seeds" };
        out += &format!("<details><summary>{}, {word} {}</summary>", escape(&cell.label), seeds.join(", "));
        out += "<div class=\"pictures\">\n";
        for run in others {
            out += &sample(cell, run, &format!("seed {}", run.plan.seed));
        }
        out += "</div></details>\n";
    }
    out
}
