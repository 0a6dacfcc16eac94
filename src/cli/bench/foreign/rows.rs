//! The rows of a case as text.

use crate::cli::units::time;
use crate::foreign::bench::ForeignRow;
use crate::isa::Measured;
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

/// What `driver` made of the rows of one case.
pub(super) fn compiled_text(driver: &str, rows: &[ForeignRow]) -> String {
    let all = || rows.iter().flat_map(|row| row.compiled.iter().map(move |c| (row.kernel.as_str(), c)));
    if all().next().is_none() {
        return String::new();
    }
    let wide = |of: &dyn Fn((&str, &Measured)) -> usize| all().map(of).max().unwrap_or(0).max(6);
    let (name, family) = (wide(&|(kernel, _)| kernel.chars().count()), wide(&|(_, c)| c.family.chars().count()));
    let mut out = format!("compiled by RADV ({driver}), not run; counts are of the loop with the most multiply-adds\n");
    let (a, b) = ("kernel", "family");
    let _ = writeln!(
        out,
        "{a:name$}  {b:family$}  {:>5}  {:>5}  {:>5}  {:>6}  {:>6}  {:>7}  {:>5}  {:>7}  {:>6}",
        "VGPR", "SGPR", "waves", "LDS", "spills", "scratch", "FMA", "overlap", "share"
    );
    for (kernel, c) in all() {
        let _ = writeln!(
            out,
            "{kernel:name$}  {:family$}  {:>5}  {:>5}  {:>5}  {:>6}  {:>6}  {:>7}  {:>5}  {:>7}  {:>4.0} %",
            c.family,
            c.vgprs,
            c.sgprs,
            c.waves,
            c.lds,
            c.spills,
            c.scratch,
            c.body.fma,
            c.body.overlap.map_or("-".into(), |n| n.to_string()),
            100.0 * c.body.share
        );
    }
    out
}
