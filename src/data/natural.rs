//! Natural order of names: `client2` before `client10`.

use std::cmp::Ordering;
use std::ffi::OsStr;

/// Compares names as a reader would: runs of ASCII digits by value, of any length; other characters by their lower
/// case. Names that are equal so far (`a1`, `a01`, `A1`) are ordered by their bytes, so that only identical names are
/// equal.
pub fn compare(a: &str, b: &str) -> Ordering {
    loosely(a, b).then_with(|| a.cmp(b))
}

/// [`compare`] for names as the system represents them.
pub fn compare_os(a: &OsStr, b: &OsStr) -> Ordering {
    compare(&a.to_string_lossy(), &b.to_string_lossy()).then_with(|| a.cmp(b))
}

fn loosely(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let order = match (a.chars().next(), b.chars().next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let ((m, rest_a), (n, rest_b)) = (number(a), number(b));
                (a, b) = (rest_a, rest_b);
                m.len().cmp(&n.len()).then_with(|| m.cmp(n))
            }
            (Some(x), Some(y)) => {
                (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]);
                x.to_lowercase().cmp(y.to_lowercase())
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// The leading digits without leading zeros, and the rest.
fn number(text: &str) -> (&str, &str) {
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    (digits.trim_start_matches('0'), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_order() {
        for sorted in [
            &["client1", "client2", "client10", "client100"][..],
            &["0", "1", "2", "10", "a"],
            &["a", "a1", "a1b", "a2", "a10", "ab"],
            &["img001.png", "img1.png", "img002.png", "img010.png", "img10.png", "img11.png"],
            &["A", "a", "B", "b", "C10", "c11"],
            &["Hospital 2", "hospital 3", "Hospital 12"],
            &["v1.2.10", "v1.10.2", "v2.0.0"],
            &["x18446744073709551615", "x18446744073709551616", "x99999999999999999999999999"],
            &["a-1", "a-2", "a-10", "a_1", "a_2"],
            &["", "0", "00", "000", "1"],
            &["klinik2", "klinik10", "Ärzte1", "ärzte2", "Ärzte10"],
            &["北京2", "北京10", "東京1"],
        ] {
            for (i, a) in sorted.iter().enumerate() {
                for (j, b) in sorted.iter().enumerate() {
                    assert_eq!(compare(a, b), i.cmp(&j), "{a:?} and {b:?}");
                }
            }
        }
    }

    /// Without a total order, sorting panics or depends on the initial order.
    #[test]
    fn the_order_is_total() {
        let parts = ["", "a", "A", "1", "01", "10", "ß", "é", "_", ":", "/", "٣"];
        let mut names = Vec::new();
        for (a, b) in parts.iter().flat_map(|a| parts.iter().map(move |b| (a, b))) {
            names.extend(parts.iter().map(|c| format!("{a}{b}{c}")));
        }
        names.sort();
        names.dedup();
        let names: Vec<&String> = names.iter().step_by(5).collect();
        for a in &names {
            for b in &names {
                assert_eq!(compare(a, b), compare(b, a).reverse(), "{a:?} {b:?}");
                assert_eq!(compare(a, b).is_eq(), a == b);
                for c in names.iter().step_by(11) {
                    let through = compare(a, b).is_lt() && compare(b, c).is_lt();
                    assert!(!through || compare(a, c).is_lt(), "{a:?} {b:?} {c:?}");
                }
            }
        }
    }
}
