//! A document as CSV.

use super::ceilings::Bound;
use super::measure::Clock;
use super::row::{Document, LaunchRow, Outcome};
use super::stats::Summary;

impl Document {
    /// One line per row, after a header. The last column is named `key` and has the value `mark` in every line.
    pub fn csv(&self, key: &str, mark: &str) -> String {
        let mut out = format!(
            "kernel,origin,shape,variant,shader,outcome,why,elements,percent_of_bound,clock,samples,batch,median_s,p20_s,\
             p80_s,min_s,wall_median_s,first_s,flops,bytes,flops_per_s,bytes_per_s,bound,share,fault,{key}\n",
        );
        let shaders = self.shaders.iter().flat_map(|s| [(&s.builtin, "built-in"), (&s.edited, "edited")]);
        for (row, edited) in self.rows.iter().map(|r| (r, "")).chain(shaders) {
            out.push_str(&format!("{},{mark}\n", row.csv(edited)));
        }
        out
    }
}

impl LaunchRow {
    fn csv(&self, edited: &str) -> String {
        let origin = if edited.is_empty() { self.origin.clone() } else { format!("{} {edited}", self.origin) };
        let head = [&self.kernel, &origin, &self.shape, &self.variant, &self.shader].map(|s| quoted(s)).join(",");
        let (flops, bytes) = (self.flops, self.bytes);
        let none =
            |outcome: &str, why: &str| format!("{head},{outcome},{},,,,,,,,,,,,{flops},{bytes},,,,,", quoted(why));
        let t = match &self.outcome {
            Outcome::Timed(timed) => timed,
            Outcome::Wrong { why } => return none("wrong", why),
            Outcome::Skipped { why } => return none("skipped", why),
        };
        let clock = if t.clock == Clock::Device { "device" } else { "wall" };
        let Summary { n, median, p20, p80, min } = t.summary;
        let against = t.roofline.map_or(",,".to_string(), |r| {
            let bound = if r.bound == Bound::Compute { "compute" } else { "memory" };
            format!("{bound},{:.4},{}", r.share, r.fault)
        });
        format!(
            "{head},timed,,{},{:.3},{clock},{n},{},{median:e},{p20:e},{p80:e},{min:e},{:e},{:e},{flops},{bytes},{:e},{:e},{against}",
            t.verified.elements,
            t.verified.percent,
            t.samples.batch,
            t.wall.median,
            t.first,
            flops / median,
            bytes / median,
        )
    }
}

/// A CSV field, quoted if it contains a delimiter.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"").replace('\n', " ")),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::row::tests::{document, timed};

    /// Fields of a line, without quotes.
    fn fields(line: &str) -> Vec<String> {
        let (mut out, mut quoted) = (vec![String::new()], false);
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => out.last_mut().unwrap().push(chars.next().unwrap()),
                '"' => quoted = !quoted,
                ',' if !quoted => out.push(String::new()),
                c => out.last_mut().unwrap().push(c),
            }
        }
        out
    }

    #[test]
    fn the_csv_has_one_line_per_row_and_every_column() {
        let mut wrong = timed("copy", 1.0, 4);
        wrong.outcome = Outcome::Wrong { why: "y[3] is 1, expected 2".into() };
        let mut large = timed("copy", 1.0, 4);
        large.outcome = Outcome::Skipped { why: "too large".into() };
        let text = document(vec![timed("fill", 0.2, 5), wrong, large]).csv("by", "me");
        let lines: Vec<Vec<String>> = text.lines().map(fields).collect();
        assert_eq!(lines.len(), 4);
        let of = |line: usize, column: &str| {
            let at = lines[0].iter().position(|c| c == column).unwrap_or_else(|| panic!("no column {column}"));
            lines[line][at].clone()
        };
        assert!(lines.iter().all(|l| l.len() == lines[0].len()), "{lines:?}");
        assert!(text.lines().all(|l| l.ends_with(",me") || l.ends_with(",by")), "{text}");
        assert_eq!(of(1, "origin"), "w1 a, \"b\"");
        assert_eq!((of(1, "samples"), of(1, "batch"), of(1, "clock")), ("5".into(), "3".into(), "wall".into()));
        let number = |column| of(1, column).parse::<f64>().unwrap();
        assert!((number("median_s") - 0.2004).abs() < 1e-9 && (number("bytes_per_s") - 1e9 / 0.2004).abs() < 1.0);
        assert_eq!((of(1, "bound"), of(1, "fault")), ("memory".into(), "false".into()));
        assert_eq!((of(2, "outcome"), of(2, "why")), ("wrong".into(), "y[3] is 1, expected 2".into()));
        assert_eq!(
            (of(3, "outcome"), of(3, "median_s"), of(3, "bytes")),
            ("skipped".into(), "".into(), "1000000000".into())
        );
    }
}
