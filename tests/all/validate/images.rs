//! Golden cases of attacks on images, with expected values computed here in f64 from the definitions: full sums instead of tables.

use super::draft::Draft;
use super::odd::{Maker, passes};
use fedgan::check::golden::{Outcome, run_file};
use fedgan::exec::CpuEngine;
use std::f64::consts::TAU;

/// Values in the images' range.
fn pixels(maker: &mut Maker, n: usize) -> Vec<f64> {
    maker.normal(n).into_iter().map(|v| (0.6 * v).clamp(-1.0, 1.0) as f32 as f64).collect()
}

#[test]
fn blends() {
    let mut maker = Maker::new(21);
    for (shape, alpha) in [([1, 1, 1, 1], 0.5), ([2, 3, 5, 7], 0.2), ([3, 2, 8, 4], 0.0), ([1, 4, 6, 6], 1.0)] {
        let [n, c, h, w] = shape;
        let (x, t) = (pixels(&mut maker, n * c * h * w), pixels(&mut maker, c * h * w));
        let y = x.iter().enumerate().map(|(i, x)| (1.0 - alpha) * x + alpha * t[i % t.len()]).collect();
        let mut draft = Draft::new("image.blend", &format!(r#"{{"alpha": {alpha}}}"#));
        draft.put("in.x", &shape, x).put("in.trigger", &[c, h, w], t).put("out.y", &shape, y);
        passes(&draft, &format!("blend {shape:?} {alpha}"));
    }
}

#[test]
fn sines() {
    let mut maker = Maker::new(22);
    for (shape, amplitude, frequency, [lo, hi]) in [
        ([1, 1, 1, 1], 0.5, 6.0, [-1.0, 1.0]),
        ([2, 3, 4, 9], 0.16, 6.0, [-1.0, 1.0]),
        ([1, 2, 7, 32], 0.3137, 2.5, [-1.0, 1.0]),
        ([2, 1, 3, 16], 1.5, 3.0, [0.0, 1.0]),
        ([1, 1, 2, 8], 0.0, 6.0, [-0.25, 0.25]),
    ] {
        let [n, c, h, w] = shape;
        let x = pixels(&mut maker, n * c * h * w);
        let sine = |i: usize| amplitude * (TAU * (i % w) as f64 * frequency / w as f64).sin();
        let y = x.iter().enumerate().map(|(i, x)| (x + sine(i)).max(lo).min(hi)).collect();
        let params = format!(r#"{{"amplitude": {amplitude}, "frequency": {frequency}, "lo": {lo}, "hi": {hi}}}"#);
        let mut draft = Draft::new("image.sig", &params);
        draft.put("in.x", &shape, x).put("out.y", &shape, y);
        passes(&draft, &format!("sig {shape:?}"));
    }
}

/// Weight of a point at distance `d` in a cubic convolution with a = -0.75.
fn cubic(d: f64) -> f64 {
    match d.abs() {
        d if d <= 1.0 => 1.25 * d.powi(3) - 2.25 * d.powi(2) + 1.0,
        d if d < 2.0 => -0.75 * (d.powi(3) - 5.0 * d.powi(2) + 8.0 * d - 4.0),
        _ => 0.0,
    }
}

#[test]
fn warps() {
    let mut maker = Maker::new(23);
    for ([n, c, size], k, strength) in
        [([1, 1, 1], 2, 0.5), ([2, 3, 9], 4, 0.5), ([1, 2, 16], 3, 5.0), ([2, 1, 12], 1, -2.0), ([1, 1, 7], 6, 0.0)]
    {
        let (x, flow) = (pixels(&mut maker, n * c * size * size), maker.normal(2 * k * k));
        let mean = flow.iter().map(|v| v.abs()).sum::<f64>() / flow.len() as f64;
        let last = size as f64 - 1.0;
        let shift = |axis: usize, row: usize, column: usize| {
            let place = |i: usize| if size > 1 { i as f64 * (k as f64 - 1.0) / last } else { 0.0 };
            let points = -2..k as isize + 2;
            let grid = points.clone().flat_map(|a| points.clone().map(move |b| (a, b)));
            let edge = |i: isize| i.clamp(0, k as isize - 1) as usize;
            let value = |(a, b): (isize, isize)| {
                let weight = cubic(place(row) - a as f64) * cubic(place(column) - b as f64);
                weight * flow[(axis * k + edge(a)) * k + edge(b)] / mean
            };
            grid.map(value).sum::<f64>()
        };
        let read = |axis: usize, row: usize, column: usize| {
            let i = if axis == 0 { column } else { row };
            let here = if size > 1 { 2.0 * i as f64 / last - 1.0 } else { -1.0 };
            ((here + strength * shift(axis, row, column) / size as f64).clamp(-1.0, 1.0) + 1.0) / 2.0 * last
        };
        let hat = |d: f64| (1.0 - d.abs()).max(0.0);
        let value = |i: usize| {
            let (plane, row, column) = (i / (size * size) * size * size, i / size % size, i % size);
            let (down, along) = (read(1, row, column), read(0, row, column));
            let weight = |at: usize| hat(down - (at / size) as f64) * hat(along - (at % size) as f64);
            (0..size * size).map(|at| weight(at) * x[plane + at]).sum::<f64>()
        };
        let y = (0..x.len()).map(value).collect();
        let shape = [n, c, size, size];
        let mut draft = Draft::new("image.warp", &format!(r#"{{"strength": {strength}}}"#));
        draft.put("in.x", &shape, x.clone()).put("in.flow", &[2, k, k], flow.clone()).put("out.y", &shape, y);
        passes(&draft, &format!("warp {shape:?} {k}"));
    }
}

/// A full sum for each coefficient of the window and for each pixel.
fn mixed(x: &[f64], t: &[f64], [h, w]: [usize; 2], [alpha, beta]: [f64; 2], [lo, hi]: [f64; 2]) -> Vec<f64> {
    let b = (beta * h.min(w) as f64).floor() as isize;
    let angle = |at: usize, k: isize, l: isize| {
        TAU * (k as f64 * (at / w) as f64 / h as f64 + l as f64 * (at % w) as f64 / w as f64)
    };
    let coefficient = |x: &[f64], k, l| {
        let term = |(at, x): (usize, &f64)| (x * angle(at, k, l).cos(), -x * angle(at, k, l).sin());
        x.iter().enumerate().map(term).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1))
    };
    let span = |side: usize| -b..=(if 2 * b as usize == side { b - 1 } else { b });
    let mut y = x.to_vec();
    for (k, l) in span(h).flat_map(|k| span(w).map(move |l| (k, l))) {
        let (f, goal) = (coefficient(x, k, l), coefficient(t, k, l));
        let by = alpha * (goal.0.hypot(goal.1) - f.0.hypot(f.1)) / (h * w) as f64;
        y.iter_mut().enumerate().for_each(|(at, y)| *y += by * (f.1.atan2(f.0) + angle(at, k, l)).cos());
    }
    y.into_iter().map(|v| v.max(lo).min(hi)).collect()
}

#[test]
fn amplitudes() {
    let mut maker = Maker::new(24);
    for (shape, alpha, beta, ends) in [
        ([1, 1, 1, 1], 0.5, 0.1, [-1.0, 1.0]),
        ([2, 3, 8, 8], 0.15, 0.1, [-1.0, 1.0]),
        ([1, 2, 12, 9], 0.15, 0.25, [-1.0, 1.0]),
        ([2, 1, 10, 14], 0.6, 0.2, [-1.0, 1.0]),
        ([1, 1, 24, 24], 0.15, 0.1, [-1.0, 1.0]),
        ([1, 1, 6, 8], 1.0, 0.5, [-0.5, 0.75]),
        ([1, 3, 7, 5], 0.0, 0.3, [-1.0, 1.0]),
    ] {
        let [n, c, h, w] = shape;
        let (x, t) = (pixels(&mut maker, n * c * h * w), pixels(&mut maker, c * h * w));
        let planes = x.chunks(h * w).zip(t.chunks(h * w).cycle());
        let y = planes.flat_map(|(x, t)| mixed(x, t, [h, w], [alpha, beta], ends)).collect();
        let [lo, hi] = ends;
        let params = format!(r#"{{"alpha": {alpha}, "beta": {beta}, "lo": {lo}, "hi": {hi}}}"#);
        let mut draft = Draft::new("image.fiba", &params);
        draft.put("in.x", &shape, x).put("in.trigger", &[c, h, w], t).put("out.y", &shape, y);
        passes(&draft, &format!("fiba {shape:?} {alpha} {beta}"));
    }
}

#[test]
fn refusals_name_the_value_and_those_allowed() {
    let refused = |op: &str, params: &str, x: [usize; 4], more: (&str, &[usize]), needles: [&str; 2]| {
        let ones = |shape: &[usize]| vec![1.0; shape.iter().product()];
        let mut draft = Draft::new(op, params);
        draft.put("in.x", &x, ones(&x)).put("out.y", &x, ones(&x));
        if !more.1.is_empty() {
            draft.put(more.0, more.1, ones(more.1));
        }
        let Outcome::NotRun(what) = run_file(&mut CpuEngine::new(), draft.write().path()).outcome else {
            panic!("{op} {params} was run")
        };
        assert!(needles.iter().all(|needle| what.contains(needle)), "{what}");
    };
    let (fiba, none): (&str, (&str, &[usize])) = (r#"{"alpha": 0.5, "beta": 0.6, "lo": -1, "hi": 1}"#, ("", &[]));
    refused("image.warp", r#"{"strength": 0.5}"#, [1, 1, 4, 5], ("in.flow", &[2, 4, 4]), ["4 x 5", "square"]);
    refused("image.warp", r#"{"strength": 0.5}"#, [1, 1, 4, 4], ("in.flow", &[2, 4, 3]), ["[2, 4, 3]", "[2, k, k]"]);
    refused("image.fiba", fiba, [1, 1, 4, 4], ("in.trigger", &[1, 4, 4]), ["`beta` is 0.6", "0 to 0.5"]);
    refused("image.blend", r#"{"alpha": 2}"#, [1, 1, 4, 4], ("in.trigger", &[1, 4, 4]), ["`alpha` is 2", "0 to 1"]);
    refused("image.blend", r#"{"alpha": 1}"#, [1, 1, 4, 4], ("in.trigger", &[3, 4, 4]), ["[3, 4, 4]", "[1, 4, 4]"]);
    let sig = r#"{"amplitude": 0.1, "frequency": 6, "lo": 1, "hi": -1}"#;
    refused("image.sig", sig, [1, 1, 4, 4], none, ["`hi` is -1", "1 to"]);
}
