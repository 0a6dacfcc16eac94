//! Draws the contents of a variable.

use super::interface::{Leaf, Scalar};
use super::manifest::Fill;
use crate::check::fill::Random;

/// The kind of numbers that random fills draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// As the file says.
    AsWritten,
    /// Whole numbers from -3 to 3 instead of reals: sums of products are exact.
    Integers,
}

/// A scalar of a variable: how to reach it from its struct or element, and its type.
pub(super) type Place<'a> = (&'a str, Scalar);

/// The scalars of a variable, in memory order: the fixed part, then the elements of the array.
pub(super) fn places<'a>(head: &'a [Leaf], element: Option<&'a [Leaf]>, elements: usize) -> Vec<Place<'a>> {
    let place = |leaf: &'a Leaf| (leaf.path.as_str(), leaf.scalar);
    let array = element.into_iter().flat_map(|leaves| (0..elements).flat_map(move |_| leaves.iter().map(place)));
    head.iter().map(place).chain(array).collect()
}

/// A value for each scalar; `seed` and `name`, which names the variable, decide the random numbers.
///
/// # Errors
/// Random reals for integers; fields that the shader does not have, and those without contents.
pub(super) fn draw_values(
    fill: &Fill,
    places: &[Place],
    draw: Draw,
    (seed, name): (u64, &str),
) -> Result<Vec<f64>, String> {
    if let Fill::Fields(fields) = fill {
        return of_fields(fields, places, draw, (seed, name));
    }
    let random = &mut Random::new(seed, name, &[], 0);
    let reals = matches!(fill, Fill::Normal { .. } | Fill::Uniform { .. });
    if let (true, Some((_, scalar))) = (reals, places.iter().find(|(_, scalar)| !scalar.is_float())) {
        return Err(format!("random reals for {}: expected integers, index or a number", scalar.name()));
    }
    Ok((0..places.len())
        .map(|i| match fill {
            Fill::Normal { .. } | Fill::Uniform { .. } if draw == Draw::Integers => f64::from(random.below(7)) - 3.0,
            Fill::Normal { mean, std } => mean + std * random.normal(),
            Fill::Uniform { from, to } => from + (to - from) * random.unit(),
            Fill::Integers { from, to } => *from as f64 + (random.unit() * (to - from + 1) as f64).floor(),
            Fill::Range { start, step } => start + i as f64 * step,
            Fill::List(list) => list[i % list.len()],
            // Their contents are not drawn.
            Fill::File { .. } | Fill::Fields(_) => 0.0,
        })
        .collect())
}

/// The field that a path starts with, and the rest: `.position.x` has `position` and `.x`.
fn field(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix('.')?;
    Some(rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())))
}

fn of_fields(
    fields: &[(String, Fill)],
    places: &[Place],
    draw: Draw,
    (seed, name): (u64, &str),
) -> Result<Vec<f64>, String> {
    let mut known: Vec<&str> = Vec::new();
    for (path, _) in places {
        let (field, _) = field(path).ok_or("its numbers have no fields: expected one fill for all of them")?;
        if !known.contains(&field) {
            known.push(field);
        }
    }
    if let Some((other, _)) = fields.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(format!("the shader has no field `{other}`; there are: {}", known.join(", ")));
    }
    if let Some(missing) = known.iter().find(|known| !fields.iter().any(|(name, _)| name == *known)) {
        return Err(format!("field `{missing}` has no contents"));
    }
    let mut out = vec![0.0; places.len()];
    for (own, fill) in fields {
        let below = |path: &str| field(path).filter(|(name, _)| name == own).map(|(_, rest)| rest.len());
        let at: Vec<usize> = (0..places.len()).filter(|i| below(places[*i].0).is_some()).collect();
        let rest = |i: &usize| (&places[*i].0[places[*i].0.len() - below(places[*i].0).unwrap_or(0)..], places[*i].1);
        let inner: Vec<Place> = at.iter().map(rest).collect();
        let values = draw_values(fill, &inner, draw, (seed, &format!("{name}.{own}")))
            .map_err(|what| format!("field `{own}`: {what}"))?;
        at.into_iter().zip(values).for_each(|(i, value)| out[i] = value);
    }
    Ok(out)
}

impl Fill {
    /// Whether it, or a field of it, is evenly distributed in a range.
    pub(super) fn is_ranged(&self) -> bool {
        match self {
            Fill::Uniform { .. } => true,
            Fill::Fields(fields) => fields.iter().any(|(_, fill)| fill.is_ranged()),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_contents_of_their_own() {
        let leaf = |path: &str, scalar| Leaf { offset: 0, scalar, path: path.into() };
        let head = [leaf(".count", Scalar::U32)];
        let element = [
            leaf(".at.x", Scalar::F32),
            leaf(".at.y", Scalar::F32),
            leaf(".id", Scalar::U32),
            leaf(".more.a[0]", Scalar::F32),
            leaf(".more.b", Scalar::I32),
        ];
        let places = places(&head, Some(&element), 3);
        assert_eq!(places.len(), 1 + 3 * 5);
        let range = |start, step| Fill::Range { start, step };
        let more = Fill::Fields(vec![("a".into(), Fill::List(vec![5.0, 6.0])), ("b".into(), range(-1.0, 0.0))]);
        let all = |at: Fill| {
            Fill::Fields(vec![
                ("count".into(), range(3.0, 0.0)),
                ("at".into(), at),
                ("id".into(), range(0.0, 1.0)),
                ("more".into(), more.clone()),
            ])
        };
        let drawn = |fill: &Fill| draw_values(fill, &places, Draw::AsWritten, (1, "v"));
        let got = drawn(&all(range(10.0, 1.0))).unwrap();
        assert_eq!(got, [3.0, 10.0, 11.0, 0.0, 5.0, -1.0, 12.0, 13.0, 1.0, 6.0, -1.0, 14.0, 15.0, 2.0, 5.0, -1.0]);
        // A field's numbers do not depend on the other fields.
        let normal = Fill::Normal { mean: 0.0, std: 1.0 };
        let got = drawn(&all(normal.clone())).unwrap();
        let alone = draw_values(&normal, &[("", Scalar::F32); 6], Draw::AsWritten, (1, "v.at")).unwrap();
        assert_eq!([got[1], got[2], got[6], got[7], got[11], got[12]], alone[..]);
        assert!(all(Fill::Uniform { from: 0.0, to: 1.0 }).is_ranged() && !all(normal.clone()).is_ranged());
        let said = |fill: Fill| drawn(&fill).unwrap_err();
        assert_eq!(
            said(Fill::Fields(vec![("ct".into(), range(0.0, 0.0))])),
            "the shader has no field `ct`; there are: count, at, id, more"
        );
        assert_eq!(said(Fill::Fields(vec![("count".into(), range(0.0, 0.0))])), "field `at` has no contents");
        assert!(said(all(more.clone())).starts_with("field `at`: the shader has no field `a`"));
        let Fill::Fields(mut fields) = all(normal.clone()) else { unreachable!() };
        fields[2].1 = normal;
        assert!(said(Fill::Fields(fields)).starts_with("field `id`: random reals for u32"));
        let plain = draw_values(&more, &[("", Scalar::F32)], Draw::AsWritten, (1, "v")).unwrap_err();
        assert!(plain.contains("no fields"), "{plain}");
    }
}
