//! Instance norm, forward and backward. Each image and channel counts as one channel in the batch norm's bounds.

use super::Case;
use super::approx::{Approx, depth};
use super::lab::{Computed, Lab, channels_last, channels_second};
use super::norm::{by_channel, invstd, moments};
use crate::Result;
use crate::exec::Tensor;
use crate::kernels::Params;
use crate::kernels::nn::instance::InstanceParams;

/// x in the internal layout, its statistics, and the geometry.
struct Images {
    shape: [usize; 4],
    p: InstanceParams,
    eps: f64,
    x: Tensor,
    stats: Tensor,
}

impl Images {
    fn record(case: &Case, lab: &mut Lab) -> Result<Images> {
        let (x, shape) = case.ranked::<4>("x", "NCHW")?;
        let [n, c, h, w] = shape;
        if h * w < 2 {
            return Err(case.malformed(format!("`in.x` has shape {shape:?}: statistics need 2 values per image")));
        }
        if shape.iter().product::<usize>() > u32::MAX as usize / 16 {
            return Err(case.malformed(format!("`in.x` has shape {shape:?}: too large")));
        }
        let eps = case.number("eps", 1e-30, f64::INFINITY, None)?;
        let p = InstanceParams::new(1, n as u32, (h * w) as u32, c as u32, 2);
        let p = InstanceParams { eps: eps as f32, ..p };
        let images =
            Images { shape, p, eps, x: lab.put(&channels_last(&x.f32(), shape))?, stats: lab.room(2 * n * c)? };
        images.launch(lab, "instance_norm_stats", &[images.x, images.stats])?;
        Ok(images)
    }

    fn launch(&self, lab: &mut Lab, kernel: &str, args: &[Tensor]) -> Result<()> {
        let kernel = lab.kernel(kernel)?;
        lab.launch_words(kernel, self.p.words(), args)
    }

    /// The planes of a tensor of x's shape, image by image, each with its channel.
    fn planes(&self, values: &[f64]) -> Vec<(usize, Vec<f64>)> {
        let [n, c, h, w] = self.shape;
        let planes = by_channel(values, [1, n * c, h, w]);
        planes.into_iter().enumerate().map(|(i, plane)| (i % c, plane)).collect()
    }

    /// Normalised values of a plane, and its inverse deviation.
    fn normalised(&self, plane: &[f64]) -> (Vec<Approx>, Approx) {
        let (mean, var) = moments(plane);
        let invstd = invstd(var, self.eps);
        (plane.iter().map(|x| (Approx::exact(*x) - mean) * invstd).collect(), invstd)
    }
}

/// instance_norm.
pub fn forward(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let images = Images::record(case, lab)?;
    let c = images.shape[1];
    let (gamma, beta) = (case.shaped("gamma", &[c])?, case.shaped("beta", &[c])?);
    let (gt, bt) = (lab.put(&gamma.f32())?, lab.put(&beta.f32())?);
    let y = lab.room(images.shape.iter().product())?;
    images.launch(lab, "instance_norm_apply", &[images.x, images.stats, gt, bt, y])?;
    lab.run()?;
    let exact = Approx::exact;
    let planes = images.planes(&case.input("x")?.values);
    let values = planes.iter().flat_map(|(k, plane)| {
        let (gamma, beta) = (gamma.values[*k], beta.values[*k]);
        images.normalised(plane).0.into_iter().map(move |x| exact(gamma) * x + exact(beta))
    });
    let values = values.collect();
    Ok(vec![Computed::known("y", &images.shape, channels_second(&lab.get(y)?, images.shape), values)])
}

/// instance_norm_backward.
pub fn backward(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let images = Images::record(case, lab)?;
    let [n, c, h, w] = images.shape;
    let (gamma, dy) = (case.shaped("gamma", &[c])?, case.shaped("dy", &images.shape)?);
    let gt = lab.put(&gamma.f32())?;
    let dyt = lab.put(&channels_last(&dy.f32(), images.shape))?;
    let (sums, dgamma, dbeta) = (lab.room(2 * n * c)?, lab.room(c)?, lab.room(c)?);
    let dx = lab.room(n * c * h * w)?;
    images.launch(lab, "instance_norm_backward_reduce", &[dyt, images.x, images.stats, sums])?;
    images.launch(lab, "instance_norm_param_grad", &[sums, dgamma, dbeta])?;
    images.launch(lab, "instance_norm_backward_apply", &[dyt, images.x, images.stats, gt, sums, dx])?;
    lab.run()?;

    let exact = Approx::exact;
    let (mut dx_values, mut betas, mut scales) = (vec![], vec![vec![]; c], vec![vec![]; c]);
    let planes = images.planes(&case.input("x")?.values);
    for ((k, plane), (_, dy)) in planes.iter().zip(images.planes(&dy.values)) {
        let (xhat, invstd) = images.normalised(plane);
        let pixels = plane.len();
        let beta = Approx::sum(dy.iter().map(|d| exact(*d)), depth(pixels));
        let scale = Approx::sum(dy.iter().zip(&xhat).map(|(d, x)| exact(*d) * *x), depth(pixels));
        let (a, b) = (beta / exact(pixels as f64), scale / exact(pixels as f64));
        for (d, x) in dy.iter().zip(&xhat) {
            dx_values.push(exact(gamma.values[*k]) * invstd * (exact(*d) - a - *x * b));
        }
        betas[*k].push(beta);
        scales[*k].push(scale);
    }
    let over_images = |sums: Vec<Vec<Approx>>| sums.into_iter().map(|s| Approx::sum(s, n)).collect();
    let dx = channels_second(&lab.get(dx)?, images.shape);
    Ok(vec![
        Computed::known("dx", &images.shape, dx, dx_values),
        Computed::known("dgamma", &[c], lab.get(dgamma)?, over_images(scales)),
        Computed::known("dbeta", &[c], lab.get(dbeta)?, over_images(betas)),
    ])
}
