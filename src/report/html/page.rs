//! The page, from head to foot.

use super::bootstrap::{FEW, RESAMPLES};
use super::cells::{Cell, differing};
use super::load::Run;
use super::table::scroll;
use super::text::{count, escape};
use super::{BEGIN, Live, curves, detector, matrix, pictures, table};
use std::collections::BTreeSet;

const STYLE: &str = include_str!("page.css");
/// The browser may fetch nothing.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// More cells than this are folded in the head of the page.
const LISTED: usize = 20;

/// Sections: anchor, title.
const SECTIONS: [(&str, &str); 7] = [
    ("results", "Results"),
    ("matrix", "Rules and attacks"),
    ("differences", "Differences"),
    ("detector", "Detector"),
    ("samples", "Samples"),
    ("curves", "Curves"),
    ("plans", "Plans"),
];

/// The whole page; `reference` is the cell with which others are compared, `live` says what runs under way have done.
pub fn page(cells: &[Cell], reference: usize, remarks: &[String], live: Option<&Live>) -> String {
    let bodies = [
        Some(results(cells)),
        matrix::section(cells),
        Some(differences(cells, reference)),
        Some(detector::table(cells)),
        Some(format!(
            "<p>The server's generator after the last round, from latents that stay the same throughout a run; first seed of \
             each cell.</p>\n{}",
            pictures::section(cells)
        )),
        Some(curves::section(cells)),
        Some(plans(cells)),
    ];
    let sections: Vec<(&str, &str, String)> =
        SECTIONS.iter().zip(bodies).filter_map(|((id, title), body)| Some((*id, *title, body?))).collect();
    let links: Vec<(&str, &str)> = sections.iter().map(|(id, title, _)| (*id, *title)).collect();
    let mut out = format!("{}<main>\n", head(cells, remarks, live, &links));
    for (id, title, body) in &sections {
        out += &format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{body}</section>\n");
    }
    document(
        BEGIN,
        &title(cells),
        live.map(|live| live.every),
        &(out + "</main>\n<footer>Not for clinical use.</footer>\n"),
    )
}

/// A whole document with the style sheet; `begin` ends with the opening tag of `html`. Browsers load it again after `reload`
/// seconds.
pub fn document(begin: &str, title: &str, reload: Option<u32>, body: &str) -> String {
    let reload = reload.map_or(String::new(), |s| format!("<meta http-equiv=\"refresh\" content=\"{s}\">\n"));
    format!(
        "{begin}<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{reload}<title>{}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

fn title(cells: &[Cell]) -> String {
    let names: BTreeSet<&str> = runs(cells).map(|r| r.plan.name.as_str()).collect();
    let shown: Vec<&str> = names.iter().copied().take(3).collect();
    let more = if names.len() > 3 { ", ..." } else { "" };
    format!("fedgan report: {}{more}", shown.join(", "))
}

fn runs<'a>(cells: &'a [Cell<'a>]) -> impl Iterator<Item = &'a Run> {
    cells.iter().flat_map(|c| c.runs.iter().copied())
}

fn head(cells: &[Cell], remarks: &[String], live: Option<&Live>, sections: &[(&str, &str)]) -> String {
    let all = |of: &dyn Fn(&Run) -> String| runs(cells).map(of).collect::<BTreeSet<_>>();
    let list = |items: BTreeSet<String>| items.iter().map(|i| escape(i)).collect::<Vec<_>>().join("<br>");
    let labels: String = cells.iter().map(|c| format!("<li>{}</li>", escape(&c.label))).collect();
    let labels = match cells.len() > LISTED {
        true => format!("<details><summary>{}</summary><ul>{labels}</ul></details>", count(cells.len(), "cell")),
        false => format!("<ul>{labels}</ul>"),
    };
    let seeds: BTreeSet<u64> = runs(cells).map(|r| r.plan.seed).collect();
    let seeds = seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let unfinished = runs(cells).filter(|r| !r.is_finished()).count();
    let unfinished = if unfinished > 0 { format!(", {unfinished} of them unfinished") } else { String::new() };
    let attackers: BTreeSet<String> = runs(cells).filter_map(|r| r.plan.attackers.clone()).collect();
    let facts = [
        ("compared", labels),
        ("runs", format!("{}{unfinished}", table::counts(cells))),
        ("seeds", seeds),
        ("rounds", list(all(&|r| r.plan.rounds.to_string()))),
        ("ran on", list(all(&|r| r.plan.engine()))),
        ("images", list(all(&|r| r.plan.data()))),
        ("attackers know", list(attackers)),
        ("run by fedgan", list(all(&|r| r.plan.version().to_string()))),
        ("report by fedgan", env!("CARGO_PKG_VERSION").to_string()),
    ];
    let facts = facts.iter().filter(|(_, v)| !v.is_empty());
    let facts: String = facts.map(|(k, v)| format!("<dt>{k}</dt><dd>{v}</dd>\n")).collect();
    let links: String = sections.iter().map(|(id, t)| format!("<li><a href=\"#{id}\">{t}</a></li>")).collect();
    let remarks = match remarks {
        [] => String::new(),
        some => {
            let items: String = some.iter().map(|r| format!("<li>{}</li>", escape(r))).collect();
            format!("<aside class=\"remarks\"><h2>{}</h2><ul>{items}</ul></aside>\n", count(some.len(), "remark"))
        }
    };
    let live = live.map_or(String::new(), |live| {
        let every = if live.every == 1 { "second".into() } else { format!("{} seconds", live.every) };
        format!("<p class=\"live\">Under way: {}. This page reloads every {every}.</p>\n", escape(&live.line))
    });
    format!(
        "<header>\n<h1>{}</h1>\n{live}<dl class=\"facts\">\n{facts}</dl>\n{remarks}<nav aria-label=\"Sections\"><ul>{links}</ul></nav>\n</header>\n",
        escape(&title(cells))
    )
}

fn results(cells: &[Cell]) -> String {
    format!(
        "<p>Last evaluation of finished runs: mean over seeds and 95&#160;% percentile bootstrap interval ({RESAMPLES} resamples of \
         seeds, with a fixed seed). \u{2020}: fewer than {FEW} seeds. Percentile intervals over few seeds are too narrow: for \
         normal data they contain the true mean in about 84&#160;% of cases at 5 seeds and 90&#160;% at 10. Below the line: real \
         images against real ones, if the metric has such a value; it is comparable at equal numbers of images (n generated or \
         real, r real), and \"at\" gives the numbers if they differ. A cell is shaded if it is better than all others, with {FEW} \
         seeds or more in each, all of them finite, and disjoint intervals. This page shows many comparisons and does not correct \
         for their number: some will differ by chance.</p>\n{}<details><summary>Values of each run</summary>\n<p>\u{b1}: spread over the \
         metric's own subsets of images, not over seeds.</p>\n{}</details>\n",
        table::main(cells),
        table::runs(cells)
    )
}

fn differences(cells: &[Cell], reference: usize) -> String {
    format!(
        "<p>Each cell minus <strong>{}</strong>, seed by seed over the seeds with finished runs in both; mean and interval as \
         above. Shaded: {FEW} seeds or more, all of them finite, and the interval excludes 0; of 20 comparisons without a real \
         difference, one or two are shaded by chance.</p>\n{}",
        escape(&cells[reference].label),
        table::differences(cells, reference)
    )
}

fn plans(cells: &[Cell]) -> String {
    let plans: Vec<_> = cells.iter().map(|c| &c.first().plan.keys).collect();
    let keys = differing(&plans);
    let mut out = if keys.is_empty() {
        "<p>The cells do not differ in any key of their plans.</p>\n".to_string()
    } else {
        let head: String =
            keys.iter().map(|k| format!("<th scope=\"col\" class=\"value\">{}</th>", escape(k))).collect();
        let row = |cell: &Cell| {
            let value = |k| cell.first().plan.keys.get(k).map_or("\u{2013}".into(), |v| escape(v));
            let values: String = keys.iter().map(|k| format!("<td class=\"value\">{}</td>", value(k))).collect();
            format!("<tr><th scope=\"row\">{}</th>{values}</tr>\n", escape(&cell.label))
        };
        let rows: String = cells.iter().map(row).collect();
        let head = format!("<tr><th scope=\"col\">cell</th>{head}</tr>");
        format!(
            "<p>Keys in which the cells differ; \u{2013}: absent.</p>\n{}",
            scroll("Keys in which the cells differ", &head, &rows)
        )
    };
    for cell in cells {
        let first = cell.first();
        let from = escape(&first.dir.join("plan.toml").display().to_string());
        out += &format!("<details><summary>Plan of {}, seed {}</summary>", escape(&cell.label), first.plan.seed);
        out += &format!("<p><code>{from}</code></p><pre>{}</pre></details>\n", escape(&first.plan.text));
    }
    out
}
