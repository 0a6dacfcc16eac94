//! The meaning of a metric's name: the quantity, the numbers of images, and the matching floor.

use crate::fed::attack::image::OnImages;
use std::cmp::Ordering;

/// Which values are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Small values.
    Lower,
    /// Large values.
    Higher,
    /// Neither.
    Neither,
}

/// A quantity that evaluation rounds measure.
struct Head {
    key: &'static str,
    short: &'static str,
    better: Better,
    /// Keys and labels of the values to compare it with; none for those whose floor has the quantity's own name.
    beside: &'static [(&'static str, &'static str)],
    meaning: &'static str,
}

const fn head(key: &'static str, short: &'static str, better: Better, meaning: &'static str) -> Head {
    Head { key, short, better, beside: &[], meaning }
}

/// In the order of the table's columns; a key comes before its prefixes.
static HEADS: [Head; 12] = [
    head("kid", "KID", Better::Lower, "kernel distance of features, mean over subsets"),
    head("fid", "FID", Better::Lower, "Frechet distance of the FID's features; biased: no more images than features"),
    head("fd", "FD", Better::Lower, "Frechet distance of features; biased: no more images than features"),
    head("sliced_wasserstein", "Sliced Wasserstein", Better::Lower, "distance of pixel patches, without a network"),
    head("precision", "Precision", Better::Higher, "share of generated images near real ones"),
    head("recall", "Recall", Better::Higher, "share of real images near generated ones"),
    head("density", "Density", Better::Higher, "how densely generated images surround real ones; may exceed 1"),
    head("coverage", "Coverage", Better::Higher, "share of real images with a generated neighbour"),
    head("ms_ssim", "MS-SSIM", Better::Neither, "similarity of generated images: above the floor means less diverse"),
    Head {
        beside: &[("leakage_threshold", "threshold")],
        ..head(
            "leakage_correlation",
            "Trigger correlation",
            Better::Lower,
            "mean correlation of the image with the trigger",
        )
    },
    Head {
        beside: &[("leakage_threshold", "threshold")],
        ..head(
            "leakage_score",
            "Trigger score",
            Better::Lower,
            "mean score: 0 of clean real images, 1 of attacked ones",
        )
    },
    Head {
        beside: &[("leakage_false_alarm", "real images"), ("leakage_detected", "attacked real images")],
        ..head("leakage", "Trigger leakage", Better::Lower, "share of generated images in which the trigger is found")
    },
];

/// A parsed metric name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// As written in `metrics.jsonl`.
    pub full: String,
    /// Index among the known quantities; `None` for others.
    known: Option<usize>,
    half: bool,
    /// The part after the quantity: extractor, resize filter, numbers of images.
    detail: String,
}

impl Name {
    /// A column of the tables; `None` for floors, thresholds and the spread of subsets, which are shown with other
    /// columns.
    pub fn of(full: &str) -> Option<Name> {
        let aside = ["floor_", "leakage_false_alarm", "leakage_threshold", "leakage_detected"];
        if full.ends_with("_std") || aside.iter().any(|p| full.starts_with(p)) {
            return None;
        }
        let (half, rest) = match full.strip_prefix("half_") {
            Some(rest) => (true, rest),
            None => (false, full),
        };
        let known = HEADS.iter().position(|h| after(rest, h.key).is_some());
        let detail = known.and_then(|k| after(rest, HEADS[k].key)).unwrap_or_default().to_string();
        Some(Name { full: full.into(), known, half, detail })
    }

    fn head(&self) -> Option<&'static Head> {
        self.known.map(|k| &HEADS[k])
    }

    /// For a column header.
    pub fn short(&self) -> String {
        let half = if self.half { ", half" } else { "" };
        self.head().map_or(self.full.clone(), |h| format!("{}{half}", h.short))
    }

    /// Extractor, resize filter and numbers of images, for readers.
    pub fn detail(&self) -> String {
        self.detail.replace('_', " ").trim().to_string()
    }

    /// The measured quantity, in words.
    pub fn meaning(&self) -> String {
        let half = if self.half { "; as many images on each side as its floor has" } else { "" };
        self.head().map_or("not known to this program".into(), |h| format!("{}{half}", h.meaning))
    }

    /// Which values are better.
    pub fn better(&self) -> Better {
        self.head().map_or(Better::Neither, |h| h.better)
    }

    /// The labels of the values to compare this metric with.
    pub fn floors(&self) -> Vec<&'static str> {
        match self.head().map(|head| head.beside) {
            Some([]) => vec![FLOOR],
            Some(beside) => beside.iter().map(|(_, word)| *word).collect(),
            None => Vec::new(),
        }
    }

    /// Whether `other` is a floor (or threshold) of this metric: its label, and a note if it was measured with other
    /// numbers of images.
    pub fn floor(&self, other: &str) -> Option<(&'static str, String)> {
        let head = self.head()?;
        if !head.beside.is_empty() {
            let (_, word) = head.beside.iter().find(|(key, _)| after(other, key).is_some())?;
            return Some((word, String::new()));
        }
        let detail = after(other.strip_prefix("floor_")?, head.key)?;
        Some((FLOOR, if detail == self.detail { String::new() } else { counts(detail) }))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |n: &Name| (n.known.unwrap_or(HEADS.len()), n.half, n.full.clone());
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The label of a distance's floor.
const FLOOR: &str = "floor";

/// The name without the attack whose trigger was searched for, so that runs with different attacks share a column: each run has one
/// attack, which its plan names.
pub fn without_attack(name: &str) -> String {
    let kinds = OnImages::NAMES.iter().map(|kind| format!("_{kind}_"));
    let found = kinds.filter(|_| name.starts_with("leakage")).find_map(|kind| name.split_once(&kind));
    found.map_or_else(|| name.to_string(), |(head, tail)| format!("{head}_{tail}"))
}

/// The part after `key` and an underscore.
fn after<'a>(name: &'a str, key: &str) -> Option<&'a str> {
    name.strip_prefix(key)?.strip_prefix('_')
}

/// The numbers of images in a detail: `n32, r32`.
fn counts(detail: &str) -> String {
    let is_count = |part: &&str| {
        let digits = part.strip_prefix(['n', 'r']).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    detail.split('_').filter(is_count).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_floors_and_spreads_are_distinguished() {
        let kid = Name::of("kid_lite0_catmullrom224_n256_r64").unwrap();
        assert_eq!((kid.short().as_str(), kid.detail().as_str()), ("KID", "lite0 catmullrom224 n256 r64"));
        assert_eq!(kid.better(), Better::Lower);
        for aside in
            ["kid_lite0_catmullrom224_n256_r64_std", "floor_kid_x", "leakage_threshold_c3", "leakage_false_alarm_r9"]
        {
            assert_eq!(Name::of(aside), None, "{aside}");
        }
        let other = Name::of("something_new").unwrap();
        assert_eq!(
            (other.short().as_str(), other.better(), other.floor("floor_something_new")),
            ("something_new", Better::Neither, None)
        );
    }

    #[test]
    fn leakages_of_all_attacks_have_one_name() {
        for (full, short) in [
            ("leakage_sig_n256", "leakage_n256"),
            ("leakage_score_fiba_n256", "leakage_score_n256"),
            ("leakage_false_alarm_warp_r90", "leakage_false_alarm_r90"),
            ("leakage_n256", "leakage_n256"),
            ("half_sig_n2", "half_sig_n2"),
        ] {
            assert_eq!(without_attack(full), short);
        }
        let leakage = Name::of("leakage_n256").unwrap();
        assert_eq!(leakage.floors(), ["real images", "attacked real images"]);
        assert_eq!(leakage.floor("leakage_detected_r90"), Some(("attacked real images", String::new())));
        assert_eq!(Name::of("kid_x").unwrap().floors(), ["floor"]);
        assert!(Name::of("something_new").unwrap().floors().is_empty());
    }

    #[test]
    fn floors_at_other_numbers_say_so() {
        let floor = "floor_kid_lite0_catmullrom224_n32_r32";
        let full = Name::of("kid_lite0_catmullrom224_n256_r64").unwrap();
        let half = Name::of("half_kid_lite0_catmullrom224_n32_r32").unwrap();
        assert_eq!(full.floor(floor), Some(("floor", "n32, r32".to_string())));
        assert_eq!(half.floor(floor), Some(("floor", String::new())));
        assert_eq!(full.floor("floor_fd_lite0_catmullrom224_n32_r32"), None);
        let leakage = Name::of("leakage_n256").unwrap();
        assert_eq!(leakage.floor("leakage_false_alarm_r64"), Some(("real images", String::new())));
        assert_eq!(leakage.floor("leakage_threshold_c64"), None);
        let correlation = Name::of("leakage_correlation_n256").unwrap();
        assert_eq!(correlation.short(), "Trigger correlation");
        assert_eq!(correlation.floor("leakage_threshold_c64"), Some(("threshold", String::new())));
    }

    #[test]
    fn columns_have_one_order() {
        let names = ["leakage_n4", "half_kid_a", "zzz", "sliced_wasserstein_n4", "kid_b", "aaa"];
        let mut names: Vec<Name> = names.iter().filter_map(|n| Name::of(n)).collect();
        names.sort();
        let names: Vec<&str> = names.iter().map(|n| n.full.as_str()).collect();
        assert_eq!(names, ["kid_b", "half_kid_a", "sliced_wasserstein_n4", "leakage_n4", "aaa", "zzz"]);
    }
}
