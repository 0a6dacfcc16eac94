//! Formatting of text and numbers in the page.

pub use crate::error::count;

/// Text as HTML, in elements and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No other control character is allowed in a page.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A number with four significant digits at `scale`, with a true minus.
fn at(value: f64, scale: f64) -> String {
    if !value.is_finite() {
        return "not finite".into();
    }
    let text = match scale.abs() {
        0.0 => "0".to_string(),
        s if s < 1e-3 => format!("{value:.2e}"),
        s => format!("{value:.0$}", (3 - s.log10().floor() as i32).clamp(0, 5) as usize),
    };
    // A rounded zero has no sign.
    let zero = text.chars().all(|c| matches!(c, '-' | '0' | '.'));
    if zero { text.trim_start_matches('-').into() } else { text.replace('-', "\u{2212}") }
}

/// A number with four significant digits.
pub fn number(value: f64) -> String {
    at(value, value)
}

/// Related numbers, with the digits of the largest.
pub fn numbers<const N: usize>(values: [f64; N]) -> [String; N] {
    let scale = values.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    values.map(|v| at(v, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_files_is_escaped() {
        assert_eq!(escape("<b a=\"x\" b='y'>&amp;"), "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;");
        assert_eq!(escape("a\u{0}b\nc"), "a\u{fffd}b\nc");
    }

    #[test]
    fn four_digits() {
        assert_eq!(
            [0.051234, 12.3456, 12345.6, 0.0, -0.5].map(number),
            ["0.05123", "12.35", "12346", "0", "\u{2212}0.5000"]
        );
        assert_eq!(number(3.21e-7), "3.21e\u{2212}7");
        assert_eq!(number(f64::NAN), "not finite");
        assert_eq!(numbers([0.01, 1.5, -0.00001]), ["0.010", "1.500", "0.000"]);
    }
}
