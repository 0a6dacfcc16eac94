//! The rows of a case as text.

use crate::cli::units::time;
use crate::foreign::bench::ForeignRow;
use std::fmt::Write as _;

/// The rows of one case.
pub(super) fn rows_text(rows: &[ForeignRow]) -> String {
    let mut out = String::new();
    let grid = |row: &ForeignRow| row.grid.map(|g| g.to_string()).join(" x ");
    let wide = |of: &dyn Fn(&ForeignRow) -> usize, least: usize| rows.iter().map(of).max().unwrap_or(0).max(least);
    let (name, case) = (wide(&|r| r.kernel.chars().count(), 6), wide(&|r| r.case.chars().count(), 4));
    let groups = wide(&|r| grid(r).len(), 10);
    let (a, b, c) = ("kernel", "case", "workgroups");
    let _ = writeln!(
        out,
        "{a:name$}  {b:case$}  {c:groups$}  {:>10}  {:>6}  {:>8}  {:>8}  {:>16}  against the first",
        "time", "spread", "GFLOP/s", "GB/s", "% of roofline"
    );
    for row in rows {
        let (kernel, of) = (&row.kernel, &row.case);
        let Some(timed) = &row.timed else {
            let _ = writeln!(
                out,
                "{kernel:name$}  {of:case$}  WRONG, not timed: {}",
                row.wrong.as_deref().unwrap_or_default()
            );
            continue;
        };
        let flops = timed.flops.map_or("-".into(), |f| format!("{:.2}", f / 1e9));
        let roofline = timed
            .roofline
            .map_or("-".into(), |(share, bound)| format!("{:.1} {bound:?}", 100.0 * share).to_lowercase());
        let against = row
            .comparison
            .map_or(String::new(), |c| format!("x {:.3} [{:.3}, {:.3}] {}", c.ratio, c.low, c.high, c.verdict.name()));
        let _ = writeln!(
            out,
            "{kernel:name$}  {of:case$}  {:groups$}  {:>10}  {:>4.0} %  {flops:>8}  {:>8.2}  {roofline:>16}  {}",
            grid(row),
            time(timed.summary.median),
            100.0 * timed.summary.spread(),
            timed.bytes / 1e9,
            if row.comparison.is_none() { "-" } else { against.as_str() }
        );
    }
    out
}
