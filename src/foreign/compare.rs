//! Outputs against their truth.

use super::interface::Scalar;
use crate::kernels::U;

/// The truth of one output.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The right values.
    pub values: Vec<f64>,
    /// The largest difference that is allowed, for each value.
    pub bounds: Vec<f64>,
}

/// How one output fared.
#[derive(Clone, Debug, serde::Serialize)]
pub struct OutputReport {
    /// The variable.
    pub name: String,
    /// Numbers compared.
    pub elements: usize,
    /// Numbers that differ by more than is allowed.
    pub wrong: usize,
    /// The share of the allowed difference that the worst number uses, in per cent; infinite without an allowed one.
    pub percent: f64,
    /// The worst number: where, what was found and what is right.
    pub worst: Option<Worst>,
}

/// One number of an output.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Worst {
    /// Its index in memory order.
    #[serde(skip)]
    pub index: usize,
    /// As in the shader: `y[3, 4]`.
    pub element: String,
    /// What the launch wrote.
    pub found: f64,
    /// What is right.
    pub truth: f64,
    /// The largest difference that is allowed.
    pub allowed: f64,
}

/// The rounding unit of a float.
fn unit(scalar: Scalar) -> f64 {
    if scalar == Scalar::F16 { 2f64.powi(-11) } else { U }
}

/// The distance of neighbouring floats at `value`.
pub fn ulp(scalar: Scalar, value: f64) -> f64 {
    let (digits, least) = if scalar == Scalar::F16 { (10, -14) } else { (23, -126) };
    let exponent = value.abs().log2().floor().max(f64::from(least));
    if value == 0.0 { 2f64.powi(least - digits) } else { 2f64.powf(exponent - f64::from(digits)) }
}

/// The rounding bound of a sum of `terms` products whose magnitudes add up to `magnitude`, computed in any order: gamma(terms + 1)
/// times the magnitude, `sides` times because the truth is rounded as well, and what flushed subnormal numbers may lose.
pub fn sum_bound(scalar: Scalar, terms: u64, magnitude: f64, sides: f64) -> f64 {
    let n = (terms + 1) as f64;
    // gamma(n) of the float's own rounding unit.
    let relative = n * unit(scalar) / (1.0 - (n * unit(scalar)).min(0.5));
    let least = if scalar == Scalar::F16 { 2f64.powi(-14) } else { f64::from(f32::MIN_POSITIVE) };
    sides * (relative * magnitude * (1.0 + relative) + n * least)
}

/// Whether `found` counts as `truth`.
fn right(found: f64, truth: f64, allowed: f64) -> bool {
    if truth.is_nan() || truth.is_infinite() {
        return found == truth || found.is_nan() && truth.is_nan();
    }
    (found - truth).abs() <= allowed
}

/// Compares; `element` names a number by its index.
pub fn compare(name: &str, found: &[f64], expected: &Expected, element: impl Fn(usize) -> String) -> OutputReport {
    let mut report = OutputReport { name: name.into(), elements: found.len(), wrong: 0, percent: 0.0, worst: None };
    for (index, (got, (truth, allowed))) in found.iter().zip(expected.values.iter().zip(&expected.bounds)).enumerate() {
        let ok = right(*got, *truth, *allowed);
        let error = (got - truth).abs();
        let percent = match (ok, error > 0.0) {
            (true, false) => 0.0,
            (true, true) => 100.0 * error / allowed,
            (false, _) if error.is_finite() && *allowed > 0.0 => 100.0 * error / allowed,
            (false, _) => f64::INFINITY,
        };
        report.wrong += usize::from(!ok);
        // A wrong number is worse than any right one, and the first of equals counts.
        if percent > report.percent || !ok && report.wrong == 1 && percent >= report.percent {
            report.percent = percent;
            report.worst = Some(Worst { index, element: String::new(), found: *got, truth: *truth, allowed: *allowed });
        }
    }
    if let Some(worst) = &mut report.worst {
        worst.element = element(worst.index);
    }
    report
}

impl OutputReport {
    /// What is wrong, if anything is.
    pub fn failure(&self) -> Option<String> {
        let worst = self.worst.as_ref().filter(|_| self.wrong > 0)?;
        let Worst { element, found, truth, allowed, .. } = worst;
        let allowed = if *allowed > 0.0 { format!("within {allowed:.2e} of {truth}") } else { truth.to_string() };
        let of = format!("{} of {} numbers are wrong", self.wrong, self.elements);
        Some(format!("{of}; the worst is {element} = {found}, expected {allowed}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(found: &[f64], truth: &[f64], allowed: f64) -> OutputReport {
        let expected = Expected { values: truth.to_vec(), bounds: vec![allowed; truth.len()] };
        compare("y", found, &expected, |i| format!("y[{i}]"))
    }

    #[test]
    fn the_worst_number_is_named_and_nan_never_passes() {
        let good = report(&[1.0, 2.0, 3.05], &[1.0, 2.0, 3.0], 0.1);
        assert!(good.failure().is_none() && (good.percent - 50.0).abs() < 1e-9);
        let bad = report(&[1.0, 2.5, 3.05], &[1.0, 2.0, 3.0], 0.1);
        assert_eq!(
            bad.failure().unwrap(),
            "1 of 3 numbers are wrong; the worst is y[1] = 2.5, expected within 1.00e-1 of 2"
        );
        let nan = report(&[1.0, f64::NAN, 9.0], &[1.0, 2.0, 3.0], 0.1);
        assert!(nan.failure().unwrap().starts_with("2 of 3 numbers are wrong; the worst is y[1] = NaN"), "{nan:?}");
        let exact = report(&[1.0, 2.0], &[1.0, 3.0], 0.0);
        assert_eq!(exact.failure().unwrap(), "1 of 2 numbers are wrong; the worst is y[1] = 2, expected 3");
        assert!(report(&[f64::NAN, f64::INFINITY], &[f64::NAN, f64::INFINITY], 0.0).failure().is_none());
        assert!(report(&[f64::NEG_INFINITY], &[f64::INFINITY], 1e9).failure().is_some());
        assert!(report(&[f64::INFINITY], &[1.0], 1e9).failure().is_some());
    }

    #[test]
    fn bounds_have_the_size_of_the_roundings() {
        assert_eq!(ulp(Scalar::F32, 1.0), 2f64.powi(-23));
        assert_eq!(ulp(Scalar::F32, -3.0), 2f64.powi(-22));
        assert_eq!(ulp(Scalar::F32, 0.0), 2f64.powi(-149));
        assert_eq!(ulp(Scalar::F16, 1.5), 2f64.powi(-10));
        let bound = sum_bound(Scalar::F32, 99, 10.0, 1.0);
        assert!(bound > 1000.0 * U && bound < 1000.1 * U, "{bound}");
        assert!(sum_bound(Scalar::F16, 99, 10.0, 2.0) > 0.9);
    }
}
