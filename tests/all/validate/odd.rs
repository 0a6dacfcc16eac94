//! Golden cases besides those in the folder: odd shapes and parameters, with expected values computed here in f64.

use super::draft::Draft;
use fedgan::check::fill::Random;
use fedgan::check::golden::{Outcome, run_file};
use fedgan::exec::{CpuEngine, Engine, ReferenceEngine};
use fedgan::gpu::{GpuEngine, GpuOptions};
use fedgan::kernels::Class;

/// The draft passes on all engines; with the last expected value off by 1 % of the largest it fails.
pub(super) fn passes(draft: &Draft, what: &str) {
    passes_everywhere(draft, what);
    for name in draft.names().into_iter().filter(|n| n.starts_with("out.")) {
        let mut bad = draft.clone();
        let values = bad.values_mut(&name);
        let size = values.iter().map(|v| v.abs()).fold(0.0, f64::max);
        *values.last_mut().unwrap() += 0.01 * size;
        let report = run_file(&mut CpuEngine::new(), bad.write().path());
        assert!(size == 0.0 || matches!(report.outcome, Outcome::Failed(_)), "{what}: corrupted {name} passed");
    }
}

fn passes_everywhere(draft: &Draft, what: &str) {
    let file = draft.write();
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(CpuEngine::new()), Box::new(ReferenceEngine::new())];
    for class in Class::ALL {
        if let Ok(engine) = GpuEngine::open("gpu", GpuOptions { class: Some(class), ..Default::default() }) {
            engines.push(Box::new(engine));
        }
    }
    for engine in &mut engines {
        let report = run_file(engine.as_mut(), file.path());
        assert_eq!(report.outcome, Outcome::Passed, "{what} on {:?}", engine.descriptor());
    }
}

pub(super) struct Maker(Random);

impl Maker {
    pub fn new(seed: u64) -> Self {
        Maker(Random::new(seed, "odd golden cases", &[], 0))
    }
    /// Normally distributed numbers that are exact in f32.
    pub fn normal(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.0.normal() as f32 as f64).collect()
    }
}

/// Every product of a convolution: (large index, weight index, small index), PyTorch layouts.
fn products(large: [usize; 4], small: [usize; 4], k: usize, stride: usize, pad: usize) -> Vec<[usize; 3]> {
    let ([n, ci, h, w], [_, co, oh, ow]) = (large, small);
    let mut list = Vec::new();
    for (b, o, i) in (0..n * co * ci).map(|t| (t / ci / co, t / ci % co, t % ci)) {
        for (oy, ox) in (0..oh * ow).map(|t| (t / ow, t % ow)) {
            for (ky, kx) in (0..k * k).map(|t| (t / k, t % k)) {
                let (y, x) = ((oy * stride + ky).wrapping_sub(pad), (ox * stride + kx).wrapping_sub(pad));
                if y < h && x < w {
                    let (l, s) = (((b * ci + i) * h + y) * w + x, ((b * co + o) * oh + oy) * ow + ox);
                    list.push([l, ((o * ci + i) * k + ky) * k + kx, s]);
                }
            }
        }
    }
    list
}

#[test]
fn convolutions() {
    let mut maker = Maker::new(1);
    // n, ci, co, h, w, k, stride, padding, bias: ci and co are the channels of x and y.
    for (n, ci, co, h, w, k, stride, pad, bias) in [
        (1, 1, 1, 1, 1, 1, 1, 0, true),
        (2, 3, 5, 7, 9, 3, 1, 1, true),
        (1, 5, 2, 13, 8, 3, 2, 0, false),
        (3, 2, 7, 9, 11, 5, 2, 2, true),
        (1, 4, 3, 10, 7, 7, 1, 6, false),
        (2, 17, 19, 5, 5, 2, 2, 1, true),
        (1, 8, 4, 11, 3, 6, 2, 3, false),
        (5, 64, 1, 4, 4, 4, 1, 0, true),
        (2, 1, 33, 6, 5, 4, 2, 1, false),
        (2, 16, 12, 12, 13, 3, 1, 1, true),
    ] {
        for transposed in [false, true] {
            let side = |s: usize| {
                if transposed {
                    ((s - 1) * stride + k).checked_sub(2 * pad)
                } else {
                    Some((s + 2 * pad - k) / stride + 1)
                }
            };
            let (Some(oh @ 1..), Some(ow @ 1..)) = (side(h), side(w)) else { continue };
            let (x_shape, y_shape) = ([n, ci, h, w], [n, co, oh, ow]);
            let (large, small) = if transposed { (y_shape, x_shape) } else { (x_shape, y_shape) };
            let w_shape = [small[1], large[1], k, k];
            let list = products(large, small, k, stride, pad);
            let [x, wt, dy] = [x_shape, w_shape, y_shape].map(|s| maker.normal(s.iter().product()));
            let b = maker.normal(co);
            let op = if transposed { "conv_transpose2d" } else { "conv2d" };
            let params = format!(r#"{{"stride": {stride}, "padding": {pad}}}"#);
            let what = format!("{op} {x_shape:?} {w_shape:?} {params}");

            let plane = oh * ow;
            let mut y: Vec<f64> = (0..dy.len()).map(|i| if bias { b[i / plane % co] } else { 0.0 }).collect();
            let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; wt.len()], vec![0.0; co]);
            for [l, wi, s] in list {
                let (xi, yi) = if transposed { (s, l) } else { (l, s) };
                y[yi] += x[xi] * wt[wi];
                dx[xi] += dy[yi] * wt[wi];
                dw[wi] += dy[yi] * x[xi];
            }
            dy.iter().enumerate().for_each(|(i, v)| db[i / plane % co] += v);
            let mut forward = Draft::new(op, &params);
            forward.put("in.x", &x_shape, x.clone()).put("in.w", &w_shape, wt.clone()).put("out.y", &y_shape, y);
            if bias {
                forward.put("in.b", &[co], b);
            }
            passes(&forward, &what);
            let mut backward = Draft::new(&format!("{op}_backward"), &params);
            backward.put("in.x", &x_shape, x).put("in.w", &w_shape, wt).put("in.dy", &y_shape, dy);
            backward.put("out.dx", &x_shape, dx).put("out.dw", &w_shape, dw).put("out.db", &[co], db);
            passes(&backward, &format!("{what} backward"));
        }
    }
}

#[test]
fn batch_norms() {
    let mut maker = Maker::new(2);
    for (shape, shift, scale, momentum) in [
        ([1, 1, 1, 2], 0.0, 1.0, 0.1),
        ([2, 3, 7, 5], 5.0, 0.1, 0.3),
        ([4, 37, 3, 3], 1000.0, 1.0, 0.1),
        ([8, 5, 16, 16], -2.0, 3.0, 1.0),
        ([3, 130, 1, 1], 0.1, 0.01, 0.0),
    ] {
        let [n, c, h, w] = shape;
        let (eps, plane) = (1e-5, h * w);
        let x: Vec<f64> = maker.normal(n * c * plane).iter().map(|v| (v * scale + shift) as f32 as f64).collect();
        let dy = maker.normal(x.len());
        let [gamma, beta, rm] = [0; 3].map(|_| maker.normal(c));
        let rv: Vec<f64> = maker.normal(c).iter().map(|v| (v.abs() + 0.5) as f32 as f64).collect();
        let count = (n * plane) as f64;
        let sum =
            |k: usize, f: &dyn Fn(usize) -> f64| -> f64 { (0..x.len()).filter(|i| i / plane % c == k).map(f).sum() };
        let mean: Vec<f64> = (0..c).map(|k| sum(k, &|i| x[i]) / count).collect();
        let var: Vec<f64> = (0..c).map(|k| sum(k, &|i| (x[i] - mean[k]).powi(2)) / count).collect();
        let of = |i: usize| i / plane % c;
        let xhat = |i: usize| (x[i] - mean[of(i)]) / (var[of(i)] + eps).sqrt();
        let y = (0..x.len()).map(|i| gamma[of(i)] * xhat(i) + beta[of(i)]).collect();
        let blend = |old: &[f64], new: &dyn Fn(usize) -> f64| -> Vec<f64> {
            (0..c).map(|k| (1.0 - momentum) * old[k] + momentum * new(k)).collect()
        };
        let mut forward = Draft::new("batch_norm", &format!(r#"{{"eps": {eps}, "momentum": {momentum}}}"#));
        forward.put("in.x", &shape, x.clone()).put("in.gamma", &[c], gamma.clone()).put("in.beta", &[c], beta);
        forward.put("in.running_mean", &[c], rm.clone()).put("in.running_var", &[c], rv.clone());
        forward.put("out.y", &shape, y).put("out.running_mean", &[c], blend(&rm, &|k| mean[k]));
        forward.put("out.running_var", &[c], blend(&rv, &|k| var[k] * count / (count - 1.0)));
        passes(&forward, &format!("batch_norm {shape:?} {shift}"));

        let dbeta: Vec<f64> = (0..c).map(|k| sum(k, &|i| dy[i])).collect();
        let dgamma: Vec<f64> = (0..c).map(|k| sum(k, &|i| dy[i] * xhat(i))).collect();
        let dx = |i: usize| {
            let k = of(i);
            gamma[k] / (var[k] + eps).sqrt() * (dy[i] - dbeta[k] / count - xhat(i) * dgamma[k] / count)
        };
        let dx = (0..x.len()).map(dx).collect();
        let mut backward = Draft::new("batch_norm_backward", &format!(r#"{{"eps": {eps}}}"#));
        backward.put("in.x", &shape, x.clone()).put("in.gamma", &[c], gamma.clone()).put("in.dy", &shape, dy.clone());
        backward.put("out.dx", &shape, dx).put("out.dgamma", &[c], dgamma).put("out.dbeta", &[c], dbeta);
        let what = format!("batch_norm_backward {shape:?} {shift}");
        // With two values the gradient cancels to rounding errors: one per cent of it is within the bound.
        if count > 2.0 { passes(&backward, &what) } else { passes_everywhere(&backward, &what) }
    }
}

#[test]
fn elementwise() {
    let mut maker = Maker::new(3);
    for shape in [vec![1], vec![2, 3, 5], vec![7, 1, 3, 3], vec![1025]] {
        let n = shape.iter().product();
        let mut x: Vec<f64> = maker.normal(n).iter().map(|v| (v * 4.0) as f32 as f64).collect();
        if n > 10 {
            x[..6].copy_from_slice(&[0.0, -0.0, 40.0, -40.0, 88.0, -88.0]);
        }
        let dy = maker.normal(n);
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        type F = fn(f64) -> f64;
        let functions: [(&str, &str, F, F); 4] = [
            ("relu", "{}", |v| v.max(0.0), |v| f64::from(v > 0.0)),
            (
                "leaky_relu",
                r#"{"slope": 0.01}"#,
                |v| if v > 0.0 { v } else { 0.01 * v },
                |v| if v > 0.0 { 1.0 } else { 0.01 },
            ),
            ("tanh", "{}", f64::tanh, |v| 1.0 / v.cosh().powi(2)),
            ("sigmoid", "{}", |v| 1.0 / (1.0 + (-v).exp()), |v| (-v.abs()).exp() / (1.0 + (-v.abs()).exp()).powi(2)),
        ];
        for (op, params, f, df) in functions {
            let mut forward = Draft::new(op, params);
            forward.put("in.x", &shape, x.clone()).put("out.y", &shape, x.iter().map(|v| f(*v)).collect());
            passes(&forward, &format!("{op} {shape:?}"));
            let mut backward = Draft::new(&format!("{op}_backward"), params);
            backward.put("in.x", &shape, x.clone()).put("in.dy", &shape, dy.clone());
            backward.put("out.dx", &shape, x.iter().zip(&dy).map(|(v, d)| d * df(*v)).collect());
            passes(&backward, &format!("{op}_backward {shape:?}"));
        }
        for t in [0.0, 0.3, 1.0] {
            let loss = |v: f64| v.max(0.0) - v * t + (-v.abs()).exp().ln_1p();
            let mut bce = Draft::new("bce_with_logits", &format!(r#"{{"target": {t}}}"#));
            bce.put("in.x", &shape, x.clone());
            bce.put("out.loss", &[1], vec![x.iter().map(|v| loss(*v)).sum::<f64>() / n as f64]);
            bce.put("out.dx", &shape, x.iter().map(|v| (sigmoid(*v) - t) / n as f64).collect());
            passes(&bce, &format!("bce {shape:?} {t}"));
        }
    }
}

#[test]
fn updates() {
    let mut maker = Maker::new(4);
    for (shape, step, b1, b2, eps) in
        [(vec![1], 1, 0.9, 0.999, 1e-8), (vec![3, 5, 7], 17, 0.5, 0.99, 1e-3), (vec![64], 100_000, 0.0, 0.999, 1e-8)]
    {
        let n = shape.iter().product();
        let [w, g, m] = [0; 3].map(|_| maker.normal(n));
        let v: Vec<f64> = maker.normal(n).iter().map(|v| (v * v) as f32 as f64).collect();
        let (lr, t) = (1e-3, f64::from(step));
        let m2: Vec<f64> = m.iter().zip(&g).map(|(m, g)| b1 * m + (1.0 - b1) * g).collect();
        let v2: Vec<f64> = v.iter().zip(&g).map(|(v, g)| b2 * v + (1.0 - b2) * g * g).collect();
        let update =
            |i: usize| lr * m2[i] / (1.0 - f64::powf(b1, t)) / ((v2[i] / (1.0 - f64::powf(b2, t))).sqrt() + eps);
        let w2 = (0..n).map(|i| w[i] - update(i)).collect();
        let params = format!(r#"{{"lr": {lr}, "beta1": {b1}, "beta2": {b2}, "eps": {eps}, "step": {step}}}"#);
        let mut adam = Draft::new("adam", &params);
        adam.put("in.w", &shape, w.clone())
            .put("in.g", &shape, g.clone())
            .put("in.m", &shape, m)
            .put("in.v", &shape, v);
        adam.put("out.w", &shape, w2).put("out.m", &shape, m2).put("out.v", &shape, v2.clone());
        passes(&adam, &format!("adam {shape:?}"));
    }
    // A client of weight 0 is not read: its NaN does not spread. Weights are not renormalised.
    let (clients, n) = (5, 67);
    let mut x = maker.normal(clients * n);
    x[2 * n..3 * n].fill(f64::NAN);
    let weights = [0.5, -0.25, 0.0, 2.0, 0.125];
    let y = |i: usize| (0..clients).filter(|c| *c != 2).map(|c| weights[c] * x[c * n + i]).sum::<f64>();
    let y = (0..n).map(y).collect();
    let mut mean = Draft::new("weighted_mean", "{}");
    mean.put("in.x", &[clients, n], x.clone()).put("in.weights", &[clients], weights.to_vec()).put("out.y", &[n], y);
    passes(&mean, "weighted_mean");
}

#[test]
fn triggers() {
    let mut maker = Maker::new(5);
    for (shape, [th, tw], [top, left]) in
        [([1, 1, 1, 1], [1, 1], [0, 0]), ([3, 2, 7, 5], [7, 2], [0, 3]), ([2, 3, 9, 9], [3, 4], [6, 5])]
    {
        let [n, c, h, w] = shape;
        let (x, t) = (maker.normal(n * c * h * w), maker.normal(c * th * tw));
        let mut y = x.clone();
        for (i, k, ty, tx) in (0..n * c * th * tw).map(|j| (j / tw / th / c, j / tw / th % c, j / tw % th, j % tw)) {
            y[((i * c + k) * h + top + ty) * w + left + tx] = t[(k * th + ty) * tw + tx];
        }
        let mut draft = Draft::new("paste_trigger", &format!(r#"{{"top": {top}, "left": {left}}}"#));
        draft.put("in.x", &shape, x).put("in.trigger", &[c, th, tw], t).put("out.y", &shape, y);
        passes(&draft, &format!("trigger {shape:?}"));
    }
}
