//! Attacks against aggregation rules: one table per metric, the worst attack of each rule beside it.

use super::cells::{Cell, differing, of_keys};
use super::names::{Better, Name};
use super::table::{Floor, OfCell, columns, floors, of_cell};
use super::text::{count, escape, number};
use std::collections::{BTreeMap, BTreeSet};

const RULE: &str = "federation.aggregation.";
const PRE: &str = "federation.pre_aggregation.";
const ATTACK: &str = "attack.";
const IMAGES: &str = "attack.image.";
const IMAGE: &str = "attack.image.kind";
/// Shades of the tables, from the best value of a table to its worst.
const SHADES: u32 = 6;

/// The tables, or nothing if the cells do not combine several rules with several attacks.
pub fn section(cells: &[Cell]) -> Option<String> {
    let plans: Vec<_> = cells.iter().map(|cell| &cell.first().plan.keys).collect();
    let other = |key: &String| ![RULE, PRE, ATTACK].iter().any(|table| key.starts_with(table));
    let others: Vec<String> = differing(&plans).into_iter().filter(other).collect();
    let shown = image_options(&plans);
    let attack = |keys: &BTreeMap<String, String>| attack(keys, &shown);
    let mut out = String::new();
    let rest = |cell: &Cell| if others.is_empty() { String::new() } else { of_keys(&others, &cell.first().plan.keys) };
    for (title, members) in grouped(cells, rest) {
        let rules = grouped(&members, |cell| rule(&cell.first().plan.keys));
        let attacks: Vec<String> =
            grouped(&members, |cell| attack(&cell.first().plan.keys)).into_iter().map(|g| g.0).collect();
        if rules.len() < 2 || attacks.len() < 2 {
            continue;
        }
        if !title.is_empty() {
            out += &format!("<h3>{}</h3>\n", escape(&title));
        }
        for name in columns(members.iter().flat_map(|cell| cell.runs.iter().copied())) {
            if name.better() != Better::Neither {
                out += &table(&name, &rules, &attacks, &attack);
            }
        }
    }
    let intro = "<p>Rows are aggregation rules, columns attacks; the mean over the seeds of finished runs. \u{201c}Worst\u{201d} is the worst \
                 value over the attacks, without the runs that have none; a non-finite value is the worst. The darker a cell, the worse its value within the table.</p>\n";
    (!out.is_empty()).then(|| format!("{intro}{out}"))
}

/// Cells with the same text, in the order of their first ones.
fn grouped<'a>(cells: &[Cell<'a>], text: impl Fn(&Cell) -> String) -> Vec<(String, Vec<Cell<'a>>)> {
    let mut groups: Vec<(String, Vec<Cell<'a>>)> = Vec::new();
    for cell in cells {
        let text = text(cell);
        match groups.iter_mut().find(|(known, _)| *known == text) {
            Some((_, members)) => members.push(cell.clone()),
            None => groups.push((text, vec![cell.clone()])),
        }
    }
    groups
}

/// Options of attacks on images that differ between attacks of one kind.
fn image_options(plans: &[&BTreeMap<String, String>]) -> BTreeSet<String> {
    let kinds: BTreeSet<Option<&String>> = plans.iter().map(|keys| keys.get(IMAGE)).collect();
    let of = |kind: Option<&String>| -> Vec<_> { plans.iter().copied().filter(|k| k.get(IMAGE) == kind).collect() };
    kinds.into_iter().flat_map(|kind| differing(&of(kind))).filter(|key| key.starts_with(IMAGES)).collect()
}

/// A table's choice with its options: `krum f=2`.
fn choice(keys: &BTreeMap<String, String>, table: &str, tag: &str) -> Option<String> {
    let mut text = keys.get(&format!("{table}{tag}"))?.clone();
    for (key, value) in keys.range(table.to_string()..).take_while(|(key, _)| key.starts_with(table)) {
        let name = &key[table.len()..];
        if name != tag {
            text += &format!(" {name}={value}");
        }
    }
    Some(text)
}

/// The rule of a plan; runs of versions without the key have the mean.
fn rule(keys: &BTreeMap<String, String>) -> String {
    let rule = choice(keys, RULE, "rule").unwrap_or_else(|| "mean".into());
    match choice(keys, PRE, "rule") {
        Some(pre) if pre != "none" => format!("{rule} after {pre}"),
        _ => rule,
    }
}

const NO_ATTACK: &str = "no attack";

/// The attack of a plan: on images with the options that are `shown`, on updates, or both.
fn attack(keys: &BTreeMap<String, String>, shown: &BTreeSet<String>) -> String {
    if keys.get("attack.malicious").is_none_or(|list| list == "[]") {
        return NO_ATTACK.into();
    }
    let mut images = keys.get(IMAGE).map_or("patch", String::as_str).to_string();
    for (key, value) in shown.iter().filter_map(|key| Some((key, keys.get(key)?))) {
        images += &format!(" {}={value}", &key[IMAGES.len()..]);
    }
    let poisons = keys.get("attack.fraction").and_then(|share| share.parse::<f64>().ok()) != Some(0.0);
    let updates = choice(keys, "attack.update.", "kind").filter(|kind| kind != "none");
    match (poisons, updates) {
        (true, Some(updates)) => format!("{images} + {updates}"),
        (true, None) => images,
        (false, Some(updates)) => updates,
        (false, None) => "malicious clients without an attack".into(),
    }
}

fn table(
    name: &Name,
    rules: &[(String, Vec<Cell>)],
    attacks: &[String],
    attack: &dyn Fn(&BTreeMap<String, String>) -> String,
) -> String {
    let lower = name.better() == Better::Lower;
    let value = |members: &[Cell], column: &str| -> Option<OfCell> {
        let cell = members.iter().find(|cell| attack(&cell.first().plan.keys) == column)?;
        of_cell(cell, &name.full)
    };
    let all: Vec<f64> = rules.iter().flat_map(|(_, m)| attacks.iter().filter_map(|a| value(m, a)?.mean)).collect();
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    let most = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shade = |v: f64| {
        let from_best = if lower { v - least } else { most - v };
        let span = most - least;
        if span > 0.0 { (f64::from(SHADES) * from_best / span).round() as u32 } else { 0 }
    };
    let is_worse = |a: f64, b: f64| (a > b) == lower;
    // Runs that an attack destroyed have no finite value: nothing is worse. Attacks without a run may be worse.
    let worst = |members: &[Cell]| {
        let attacked: Vec<Option<OfCell>> =
            attacks.iter().filter(|a| *a != NO_ATTACK).map(|a| value(members, a)).collect();
        if let Some(destroyed) = attacked.iter().flatten().find(|v| v.nonfinite[0] > 0) {
            return format!("<td class=\"h{SHADES}\">{}</td>", not_finite(destroyed.nonfinite));
        }
        let known = attacked.iter().flatten().filter_map(|v| v.mean);
        let missing = match attacked.iter().filter(|v| v.is_none()).count() {
            0 => String::new(),
            n => format!("<span class=\"note\">without {n} of {}</span>", count(attacked.len(), "attack")),
        };
        match known.reduce(|a, b| if is_worse(a, b) { a } else { b }) {
            Some(v) => format!("<td class=\"h{}\">{}{missing}</td>", shade(v), number(v)),
            None => "<td>\u{2013}</td>".into(),
        }
    };
    let cell = |v: Option<OfCell>| match v {
        Some(OfCell { mean: Some(v), nonfinite: [0, _] }) => {
            format!("<td class=\"h{}\">{}</td>", shade(v), number(v))
        }
        Some(OfCell { mean, nonfinite }) => {
            let mean = mean.map_or(String::new(), number);
            format!("<td class=\"h{SHADES}\">{mean}{}</td>", not_finite(nonfinite))
        }
        None => "<td>\u{2013}</td>".into(),
    };
    let heads: String = attacks.iter().map(|a| format!("<th scope=\"col\">{}</th>", escape(a))).collect();
    let mut rows = String::new();
    for (rule, members) in rules {
        let values: String = attacks.iter().map(|a| cell(value(members, a))).collect();
        rows += &format!("<tr><th scope=\"row\">{}</th>{}{values}</tr>\n", escape(rule), worst(members));
    }
    rows += &floor_rows(name, rules, attacks, attack);
    let better = if lower { "lower is better" } else { "higher is better" };
    let caption = format!("{} {}, {better}", escape(&name.short()), escape(&name.detail()));
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table class=\"matrix\"><caption>{caption}</caption>\n<thead><tr><th scope=\"col\">rule</th>\
         <th scope=\"col\">worst</th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn not_finite([runs, of]: [usize; 2]) -> String {
    format!("<span class=\"note\">not finite in {runs} of {of}</span>")
}

/// A row for each value to compare the metric with, such as the floor: the mean over the rules, for each attack.
fn floor_rows(
    name: &Name,
    rules: &[(String, Vec<Cell>)],
    attacks: &[String],
    attack: &dyn Fn(&BTreeMap<String, String>) -> String,
) -> String {
    let of_attack = |word: &str, column: &str| {
        let cells = rules.iter().flat_map(|(_, members)| members);
        let cells = cells.filter(|cell| attack(&cell.first().plan.keys) == column);
        let found: Vec<Floor> = cells.flat_map(|cell| floors(cell, name)).filter(|floor| floor.word == word).collect();
        let note = found.first()?.note.clone();
        let same: Vec<f64> = found.iter().filter(|f| f.note == note && f.value.is_finite()).map(|f| f.value).collect();
        (!same.is_empty()).then(|| (same.iter().sum::<f64>() / same.len() as f64, note))
    };
    let row = |word: &str| {
        let all: Vec<_> = attacks.iter().map(|column| of_attack(word, column)).collect();
        let note = all.iter().flatten().next()?.1.clone();
        let note = if note.is_empty() { String::new() } else { format!(" at {}", escape(&note)) };
        let cells =
            all.into_iter().map(|v| v.map_or("<td>\u{2013}</td>".into(), |(v, _)| format!("<td>{}</td>", number(v))));
        Some(format!(
            "<tr class=\"beside\"><th scope=\"row\">{word}{note}</th><td></td>{}</tr>\n",
            cells.collect::<String>()
        ))
    };
    name.floors().into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn rules_and_attacks_are_named_with_their_options() {
        let none = BTreeSet::new();
        let krum = keys(&[("federation.aggregation.rule", "krum"), ("federation.aggregation.f", "2")]);
        assert_eq!(rule(&krum), "krum f=2");
        let mixed = keys(&[
            ("federation.aggregation.rule", "median"),
            ("federation.pre_aggregation.rule", "nnm"),
            ("federation.pre_aggregation.f", "1"),
        ]);
        assert_eq!(rule(&mixed), "median after nnm f=1");
        assert_eq!(rule(&keys(&[])), "mean");
        assert_eq!(attack(&keys(&[("attack.malicious", "[]"), ("attack.fraction", "1.0")]), &none), "no attack");
        let scaled = [("attack.malicious", "[0]"), ("attack.update.kind", "scale"), ("attack.update.factor", "4.0")];
        assert_eq!(attack(&keys(&scaled), &none), "patch + scale factor=4.0");
        let alone = [&scaled[..], &[("attack.fraction", "0.0")]].concat();
        assert_eq!(attack(&keys(&alone), &none), "scale factor=4.0");
        assert_eq!(attack(&keys(&[("attack.malicious", "[1]"), ("attack.update.kind", "none")]), &none), "patch");
        let patch = |side| {
            let place = ("attack.image.place", "centre");
            keys(&[("attack.malicious", "[1]"), ("attack.image.kind", "patch"), ("attack.image.side", side), place])
        };
        let sig = keys(&[("attack.malicious", "[1]"), ("attack.image.kind", "sig"), ("attack.image.frequency", "6.0")]);
        let (small, large) = (patch("2"), patch("4"));
        let shown = image_options(&[&small, &large, &sig]);
        let names = [&small, &large, &sig].map(|keys| attack(keys, &shown));
        assert_eq!(names, ["patch side=2", "patch side=4", "sig"]);
    }
}
