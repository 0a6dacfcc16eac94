//! The table of the detector's results.

use super::cells::Cell;
use super::load::Run;
use super::table::scroll;
use super::text::escape;
use crate::report::rates::{Rates, SUPPRESSED, wilson};

/// Seeds count as suppressed within this many rounds; the number of rounds is listed in any case.
pub const WITHIN: usize = 15;

/// A run's rates; `None` without a detector.
fn rates(run: &Run) -> Option<Rates> {
    Some(Rates::of(&run.records, run.plan.warmup?, run.plan.start_round))
}

fn rate((k, n): (u64, u64)) -> String {
    match wilson(k, n) {
        None => "\u{2013}".into(),
        Some((low, high)) => format!(
            "<span class=\"mean\">{k} of {n}</span><span class=\"ci\">{:.1} % [{:.1}, {:.1}]</span>",
            100.0 * k as f64 / n as f64,
            100.0 * low,
            100.0 * high
        ),
    }
}

fn row(cell: &Cell) -> String {
    let all: Vec<(u64, Rates)> = cell.finished().filter_map(|r| Some((r.plan.seed, rates(r)?))).collect();
    let sum =
        |pick: fn(&Rates) -> (u64, u64)| all.iter().map(|(_, r)| pick(r)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let attacked: Vec<&(u64, Rates)> = all.iter().filter(|(_, r)| !r.suppressed_after.is_empty()).collect();
    let after: Vec<(u64, Option<usize>)> = attacked.iter().map(|(seed, r)| (*seed, r.suppression())).collect();
    let (seeds, rounds) = if after.is_empty() {
        ("\u{2013}".into(), "\u{2013}".into())
    } else {
        let within = after.iter().filter(|(_, a)| a.is_some_and(|a| a <= WITHIN)).count();
        let each = after.iter().map(|(seed, a)| format!("{seed}: {}", a.map_or("not".into(), |a| a.to_string())));
        (rate((within as u64, after.len() as u64)), each.collect::<Vec<_>>().join(", "))
    };
    let least = all.iter().map(|(_, r)| r.least_honest_weight).fold(f64::NAN, f64::min);
    let least = if least.is_finite() { format!("{least:.3}") } else { "\u{2013}".into() };
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{seeds}</td><td class=\"left\">{rounds}</td><td>{least}</td></tr>\n",
        escape(&cell.label),
        all.len(),
        rate(sum(|r| r.false_flags)),
        rate(sum(|r| r.true_flags)),
    )
}

/// The table with the explanations needed to read it, or a sentence if no cell has a detector.
pub fn table(cells: &[Cell]) -> String {
    let watched: Vec<&Cell> = cells.iter().filter(|c| c.first().plan.warmup.is_some()).collect();
    if watched.is_empty() {
        return "<p>No cell has a detector.</p>".into();
    }
    let suppressed = format!("seeds suppressed within {WITHIN} rounds");
    let heads = [
        "cell",
        "seeds",
        "honest client-rounds flagged",
        "malicious client-rounds flagged",
        &suppressed,
        "rounds until suppression (seed: rounds)",
        "smallest honest weight at the end",
    ];
    let head: String = heads.iter().map(|h| format!("<th scope=\"col\">{h}</th>")).collect();
    let rows: String = watched.iter().map(|c| row(c)).collect();
    format!(
        "<p>Over the rounds with verdicts (after the warm-up) of finished runs; malicious client-rounds from the first round of \
         the attack on. Brackets are Wilson 95&#160;% intervals in per cent. They treat client-rounds as independent, which \
         flags of successive rounds are not, so the intervals of client-rounds are too narrow. A seed is suppressed when the \
         weight of every malicious client falls below {SUPPRESSED} / clients for good; rounds are counted from the first \
         verdict with the attack active. This table counts seeds suppressed within {WITHIN} rounds; the console and \
         results.csv give the number of rounds only.</p>\n{}",
        scroll("Rates of the detector", &format!("<tr>{head}</tr>"), &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::super::cells::group;
    use super::super::fixture::{Fixture, plan};
    use super::super::load::load;
    use super::*;

    #[test]
    fn seeds_are_counted_and_rounds_listed() {
        let f = Fixture::new();
        let watched = "[attack]\nmalicious = [0]\n[detection]\nkind = \"isolation-forest\"\nwarmup = 0\n";
        f.run("a", 1, watched, 6);
        f.run("b", 2, watched, 6);
        f.run("c", 1, "", 6);
        let inputs = load(&["a", "b", "c"].map(|n| f.path(n)), &plan).unwrap();
        let cells = group(&inputs, &mut Vec::new());
        let html = table(&cells);
        // Rounds 1 to 5 give verdicts; flagged and suppressed from round 2 on, that is after one round.
        assert!(html.contains("0 of 20") && html.contains("8 of 10") && html.contains("2 of 2"), "{html}");
        assert!(html.contains("<th scope=\"col\">seeds suppressed within 15 rounds</th>"), "{html}");
        assert!(html.contains("1: 1, 2: 1") && html.matches("<tr>").count() == 2, "{html}");
        assert_eq!(table(&cells[1..]), "<p>No cell has a detector.</p>");
    }

    #[test]
    fn late_suppression_is_listed_and_not_counted() {
        let f = Fixture::new();
        let watched = "[attack]\nmalicious = [0]\n[detection]\nkind = \"isolation-forest\"\nwarmup = 0\n";
        f.run("a", 1, watched, 20);
        let mut inputs = load(&[f.path("a")], &plan).unwrap();
        inputs.runs[0].records[16].clients[0].weight = 0.3;
        let html = table(&group(&inputs, &mut Vec::new()));
        // Rounds 1 to 16 pass before the weight stays low.
        assert!(html.contains("0 of 1") && html.contains("1: 16"), "{html}");
    }
}
