//! Comparison of expected tensors with results. Always `!(err <= bound)`, so that NaN fails.

use super::GoldenTensor;
use super::lab::{Computed, Rule};
use crate::check::fill::is_nan_word;
use crate::kernels::U;

/// The share of its bound by which an expected f64 value may differ from the value computed here, besides 4 u of it:
/// inputs that were rounded afterwards cause as much. The f32 bounds of long sums exceed the error of a wrong case: a
/// biased variance of 30,000 values, one per cent of a weight gradient.
const KNOWN_SHARE: f64 = 0.1;

/// The element that determines the verdict.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct WorstElement {
    /// Its index, one number per dimension.
    pub index: Vec<usize>,
    /// The value from the engine.
    pub got: f64,
    /// The value in the file.
    pub expected: f64,
    /// |got - expected|.
    pub err: f64,
    /// The allowed error: for this element, or for the L2 norm of the whole tensor's difference.
    pub allowed: f64,
}

/// One expected tensor's verdict.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TensorVerdict {
    /// The tensor's name, including `out.`.
    pub name: String,
    /// Within its bound.
    pub passed: bool,
    /// Percentage of the bound used by the worst element or by the whole tensor; infinite for a missed equality or a
    /// NaN.
    pub percent: f64,
    /// The worst element: closest to (or furthest beyond) its bound; the one with the largest error if the tensor is
    /// compared as a whole.
    pub worst: Option<WorstElement>,
    /// The rule of the comparison, in words.
    pub measure: String,
}

impl std::fmt::Display for TensorVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:.3}% of the bound ({})", self.name, self.percent, self.measure)?;
        match &self.worst {
            Some(w) => write!(f, ", worst {:?}: {:e}, expected {:e}, off by {:.3e}", w.index, w.got, w.expected, w.err),
            None => Ok(()),
        }
    }
}

/// Compares a result whose shape is known to be the expected one.
pub fn compare(result: &Computed, expected: &GoldenTensor) -> TensorVerdict {
    let got: Vec<f64> = result.got.iter().map(|v| *v as f64).collect();
    // Expected values in f32 have their own rounding.
    let slack = |i: usize| if expected.single { U * expected.values[i].abs() } else { 0.0 };
    let each = |bound: &dyn Fn(usize) -> f64| (0..got.len()).map(|i| bound(i) + slack(i)).collect();
    // The scale of a tensor compared as a whole is that of its finite elements; non-finite ones must match.
    let l2_expected = || l2(expected.values.iter().copied().filter(|v| v.is_finite()));
    let (allowed, whole, measure): (Vec<f64>, bool, String) = match &result.rule {
        Rule::Each(bounds) => (each(&|i| bounds[i]), false, "rounding bound of each element".into()),
        Rule::Known(values) => {
            let allowed = |i: usize| KNOWN_SHARE * values[i].e + 4.0 * U * values[i].v.abs();
            // Beyond the range of f32 the device must give infinity.
            let same =
                |i: usize| same(expected.values[i], f64::from(values[i].v as f32)) && !expected.values[i].is_finite();
            let off = |i: usize| !same(i) && !((expected.values[i] - values[i].v).abs() <= allowed(i));
            if let Some(i) = (0..got.len()).find(|i| !expected.single && off(*i)) {
                return wrong(result, expected, i, values[i].v, allowed(i));
            }
            (each(&|i| values[i].e), false, "rounding bound of each element".into())
        }
        Rule::Close(relative) => {
            let bounds = each(&|i| relative * expected.values[i].abs().max(1.0));
            (bounds, false, format!("{relative:e} of max(1, |expected|)"))
        }
        Rule::Equal => (vec![0.0; got.len()], false, "equal bits".into()),
        Rule::RelativeL2(bound) => {
            let norm = l2_expected();
            (vec![bound * norm; got.len()], true, format!("{bound:e} of the expected L2 norm {norm:.3e}"))
        }
        Rule::Update { before, share, floor, cap } => {
            let (all, norm) =
                (l2_expected(), l2(expected.values.iter().zip(before).map(|(e, b)| e - b).filter(|v| v.is_finite())));
            let bound = (share * norm + floor * all).min(cap * all);
            (vec![bound; got.len()], true, format!("{share:e} of the expected update's L2 norm {norm:.3e}"))
        }
    };
    // A NaN that no launch has written does not match an expected NaN.
    let written = |i: usize| !is_nan_word(result.got[i].to_bits());
    let error = |(i, (g, e)): (usize, (&f64, &f64))| if same(*g, *e) && written(i) { 0.0 } else { (g - e).abs() };
    let errors: Vec<f64> = got.iter().zip(&expected.values).enumerate().map(error).collect();
    let equal = |i: usize| match got[i].is_nan() {
        true => expected.values[i].is_nan() && written(i),
        false => got[i].to_bits() == expected.values[i].to_bits(),
    };
    let percents: Vec<f64> = match &result.rule {
        Rule::Equal => (0..got.len()).map(|i| if equal(i) { 0.0 } else { f64::INFINITY }).collect(),
        _ => errors.iter().zip(&allowed).map(|(err, bound)| share(*err, *bound)).collect(),
    };
    let at = (0..percents.len()).max_by(|a, b| percents[*a].total_cmp(&percents[*b]));
    let percent = match at {
        Some(i) if whole => share(l2(errors.iter().copied()), allowed[i]),
        Some(i) => percents[i],
        None => 0.0,
    };
    let worst = at.map(|i| WorstElement {
        index: unravel(i, &expected.shape),
        got: got[i],
        expected: expected.values[i],
        err: errors[i],
        allowed: allowed[i],
    });
    TensorVerdict { name: format!("out.{}", result.name), passed: percent <= 100.0, percent, worst, measure }
}

/// The verdict on a file whose element `i` does not follow from its inputs.
fn wrong(result: &Computed, expected: &GoldenTensor, i: usize, value: f64, allowed: f64) -> TensorVerdict {
    let (index, expected) = (unravel(i, &expected.shape), expected.values[i]);
    let err = (expected - value).abs();
    let worst = Some(WorstElement { index, got: f64::from(result.got[i]), expected, err, allowed });
    let measure = format!("the file is wrong: in f64 its inputs give {value:e}");
    TensorVerdict { name: format!("out.{}", result.name), passed: false, percent: share(err, allowed), worst, measure }
}

/// Equality, including infinities of the same sign and NaN with NaN.
fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

fn l2(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

/// Percentage of `bound` used by `err`; above 100 unless `err <= bound`, and for a bound that is not finite.
fn share(err: f64, bound: f64) -> f64 {
    if err == 0.0 {
        return 0.0;
    }
    if !(err <= bound) || !bound.is_finite() {
        let percent = 100.0 * err / bound;
        return if percent > 100.0 { percent } else { f64::INFINITY };
    }
    100.0 * err / bound
}

fn unravel(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, side) in index.iter_mut().zip(shape).rev() {
        *i = at % side;
        at /= side;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::super::approx::Approx;
    use super::*;
    use crate::check::fill::nan_word;

    fn verdict(got: &[f32], expected: &[f64], rule: Rule) -> TensorVerdict {
        let result = Computed { name: "y".into(), shape: vec![2, got.len() / 2], got: got.to_vec(), rule };
        compare(&result, &GoldenTensor { shape: result.shape.clone(), values: expected.to_vec(), single: false })
    }

    #[test]
    fn each_rule_passes_at_its_bound_and_fails_beyond_it() {
        let expected = [1.0, -2.0, 4.0, 0.5];
        for (rule, inside, outside) in [
            (Rule::Each(vec![0.125; 4]), 4.125, 4.25),
            (Rule::Known(expected.map(|v| Approx::new(v, 0.125)).to_vec()), 4.125, 4.25),
            (Rule::Close(0.25), 5.0, 5.25),
            (Rule::RelativeL2(0.25), 5.0, 5.5),
            (Rule::Update { before: vec![1.0, -2.0, 3.0, 0.5], share: 0.25, floor: 0.0, cap: 1.0 }, 4.25, 4.5),
            (Rule::Equal, 4.0, 4.000001),
        ] {
            let good = verdict(&[1.0, -2.0, inside, 0.5], &expected, rule.clone());
            assert!(good.passed && good.percent <= 100.0, "{good}");
            let bad = verdict(&[1.0, -2.0, outside, 0.5], &expected, rule.clone());
            assert!(!bad.passed && bad.percent > 100.0, "{bad}");
            assert_eq!(bad.worst.unwrap().index, [1, 0]);
            for (got, want) in [
                (f32::NAN, 4.0),
                (4.0, f64::NAN),
                (f32::INFINITY, 4.0),
                (f32::INFINITY, f64::NEG_INFINITY),
                (f32::INFINITY, f64::NAN),
                (f32::NAN, f64::INFINITY),
            ] {
                let nan = verdict(&[1.0, -2.0, got, 0.5], &[1.0, -2.0, want, 0.5], rule.clone());
                assert!(!nan.passed, "{nan}");
            }
            let unwritten = verdict(
                &[1.0, -2.0, f32::from_bits(nan_word(2)), 0.5],
                &[1.0, -2.0, f64::NAN, 0.5],
                match &rule {
                    Rule::Known(_) => Rule::Known([1.0, -2.0, f64::NAN, 0.5].map(|v| Approx::new(v, 0.125)).to_vec()),
                    other => other.clone(),
                },
            );
            assert!(!unwritten.passed, "{rule:?}: {unwritten}");
            // A file may expect non-finite values, which only the same value matches.
            for (got, want) in [(f32::NAN, f64::NAN), (f32::NEG_INFINITY, f64::NEG_INFINITY)] {
                let rule = match &rule {
                    Rule::Known(_) => Rule::Known([1.0, -2.0, want, 0.5].map(|v| Approx::new(v, 0.125)).to_vec()),
                    other => other.clone(),
                };
                let met = verdict(&[1.0, -2.0, got, 0.5], &[1.0, -2.0, want, 0.5], rule.clone());
                assert!(met.passed, "{rule:?}: {met}");
            }
        }
    }

    #[test]
    fn an_expected_value_that_contradicts_the_inputs_fails_within_the_bound() {
        let rule = || Rule::Known(vec![Approx::new(1.0, 0.125); 2]);
        let close = verdict(&[1.0, 1.1], &[1.0, 1.01], rule());
        assert!(close.passed, "{close}");
        let wrong = verdict(&[1.0, 1.1], &[1.0, 1.1], rule());
        assert!(!wrong.passed && wrong.percent > 100.0 && wrong.to_string().contains("the file is wrong"), "{wrong}");
        assert_eq!(wrong.worst.unwrap().index, [1, 0]);
    }

    #[test]
    fn equal_infinities_are_equal() {
        let inf = f64::INFINITY;
        assert!(verdict(&[f32::INFINITY, 0.0], &[inf, 0.0], Rule::Each(vec![f64::NAN, 0.0])).passed);
        assert!(!verdict(&[f32::INFINITY, 0.0], &[-inf, 0.0], Rule::Each(vec![inf; 2])).passed);
    }

    #[test]
    fn a_non_finite_bound_fails() {
        assert!(!verdict(&[1.0, 1.0], &[1.0, 5.0], Rule::Each(vec![0.1, f64::INFINITY])).passed);
        assert!(!verdict(&[0.0, 1e-9], &[0.0, 0.0], Rule::RelativeL2(1e-5)).passed);
        assert!(verdict(&[0.0, 0.0], &[0.0, 0.0], Rule::RelativeL2(1e-5)).passed);
    }
}
