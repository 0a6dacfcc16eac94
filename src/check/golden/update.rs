//! Adam, RMSprop, the weighted mean of clients and the trigger.

use super::Case;
use super::approx::Approx;
use super::case::MOST_ELEMENTS;
use super::lab::{Computed, Lab, Rule, channels_last, channels_second, permute};
use crate::Result;
use crate::exec::align;
use crate::kernels::gamma;

/// adam.
pub fn adam(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let w = case.input("w")?;
    let [g, m, v] = ["g", "m", "v"].map(|name| case.shaped(name, &w.shape));
    let (g, m, v) = (g?, m?, v?);
    if w.values.is_empty() {
        return Err(case.malformed(format!("`in.w` has shape {:?}: it is empty", w.shape)));
    }
    if let Some(i) = v.values.iter().position(|v| *v < 0.0) {
        return Err(
            case.malformed(format!("`in.v` element {i} is {}: second moments must not be negative", v.values[i]))
        );
    }
    let below_one = 1.0 - 1e-9;
    let (b1, b2) = (case.number("beta1", 0.0, below_one, None)?, case.number("beta2", 0.0, below_one, None)?);
    let (lr, eps) = (case.number("lr", 0.0, 1e6, None)?, case.number("eps", 0.0, 1e6, None)?);
    let t = f64::from(case.whole("step", 1, u32::MAX)?);
    let rate = lr / (1.0 - b1.powf(t));
    let correction = 1.0 / (1.0 - b2.powf(t)).sqrt();

    let n = w.values.len();
    let (wt, gt, mt, vt) = (lab.put(&w.f32())?, lab.put(&g.f32())?, lab.put(&m.f32())?, lab.put(&v.f32())?);
    let table = lab.put(&[rate as f32, correction as f32])?;
    let (state, steps) = (lab.put_words(&[0; 4])?, lab.put_words(&[1])?);
    let params = [
        ("clients", 1.0),
        ("n", n as f64),
        ("stride", n as f64),
        ("table_stride", 2.0),
        ("beta1", b1),
        ("beta2", b2),
        ("eps", eps),
        ("one_minus_beta1", 1.0 - b1),
        ("one_minus_beta2", 1.0 - b2),
    ];
    lab.launch("adam", &params, &[wt, gt, mt, vt, table, state, steps])?;
    lab.run()?;

    let rounded = Approx::rounded;
    let (mut w_bounds, mut m_bounds, mut v_bounds) = (vec![], vec![], vec![]);
    for i in 0..n {
        let [w, g, m, v] = [w, g, m, v].map(|t| Approx::exact(t.values[i]));
        let first = rounded(b1) * m + rounded(1.0 - b1) * g;
        let second = rounded(b2) * v + rounded(1.0 - b2) * g * g;
        let change = rounded(rate) * first / (second.sqrt() * rounded(correction) + rounded(eps));
        w_bounds.push((w - change).e);
        m_bounds.push(first.e);
        v_bounds.push(second.e);
    }
    Ok(vec![
        Computed::each("w", &w.shape, lab.get(wt)?, w_bounds),
        Computed::each("m", &w.shape, lab.get(mt)?, m_bounds),
        Computed::each("v", &w.shape, lab.get(vt)?, v_bounds),
    ])
}

/// rmsprop.
pub fn rmsprop(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let w = case.input("w")?;
    let (g, v) = (case.shaped("g", &w.shape)?, case.shaped("v", &w.shape)?);
    if w.values.is_empty() {
        return Err(case.malformed(format!("`in.w` has shape {:?}: it is empty", w.shape)));
    }
    if let Some(i) = v.values.iter().position(|v| *v < 0.0) {
        return Err(
            case.malformed(format!("`in.v` element {i} is {}: second moments must not be negative", v.values[i]))
        );
    }
    let alpha = case.number("alpha", 0.0, 1.0 - 1e-9, None)?;
    let (lr, eps) = (case.number("lr", 0.0, 1e6, None)?, case.number("eps", 0.0, 1e6, None)?);
    let n = w.values.len();
    let (wt, gt, vt) = (lab.put(&w.f32())?, lab.put(&g.f32())?, lab.put(&v.f32())?);
    let (state, steps) = (lab.put_words(&[0; 4])?, lab.put_words(&[1])?);
    let params = [
        ("clients", 1.0),
        ("n", n as f64),
        ("stride", n as f64),
        ("lr", lr),
        ("alpha", alpha),
        ("one_minus_alpha", 1.0 - alpha),
        ("eps", eps),
    ];
    lab.launch("rmsprop", &params, &[wt, gt, vt, state, steps])?;
    lab.run()?;
    let rounded = Approx::rounded;
    let (mut w_bounds, mut v_bounds) = (vec![], vec![]);
    for i in 0..n {
        let [w, g, v] = [w, g, v].map(|t| Approx::exact(t.values[i]));
        let second = rounded(alpha) * v + rounded(1.0 - alpha) * g * g;
        w_bounds.push((w - rounded(lr) * g / (second.sqrt() + rounded(eps))).e);
        v_bounds.push(second.e);
    }
    Ok(vec![
        Computed::each("w", &w.shape, lab.get(wt)?, w_bounds),
        Computed::each("v", &w.shape, lab.get(vt)?, v_bounds),
    ])
}

/// weighted_mean. A client of weight 0 is not read, so its values are arbitrary.
pub fn weighted_mean(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let (x, [clients, n]) = case.ranked::<2>("x", "[clients, params]")?;
    let weights = case.shaped("weights", &[clients])?;
    let stride = align(n);
    if clients.saturating_mul(stride) > MOST_ELEMENTS {
        return Err(
            case.malformed(format!("{clients} rows of {n}, padded to {stride}, exceed {MOST_ELEMENTS} elements"))
        );
    }
    let mut rows = vec![f32::NAN; clients * stride];
    for (row, values) in rows.chunks_mut(stride).zip(x.f32().chunks(n)) {
        row[..n].copy_from_slice(values);
    }
    let (xt, wt, y) = (lab.put(&rows)?, lab.put(&weights.f32())?, lab.room(n)?);
    let params = [
        ("clients", clients as f64),
        ("n", n as f64),
        ("x_stride", stride as f64),
        ("first", 0.0),
        ("accumulate", 0.0),
    ];
    lab.launch("weighted_mean", &params, &[xt, wt, y])?;
    lab.run()?;
    let values = (0..n).map(|i| {
        let active = (0..clients).filter(|c| weights.values[*c] != 0.0);
        let terms = active.map(|c| weights.values[c] * x.values[c * n + i]);
        let (sum, scale) = terms.fold((0.0, 0.0), |(sum, scale), term: f64| (sum + term, scale + term.abs()));
        Approx::new(sum, gamma(clients + 1) * scale + (clients + 1) as f64 * f64::from(f32::MIN_POSITIVE))
    });
    let values = values.collect();
    Ok(vec![Computed::known("y", &[n], lab.get(y)?, values)])
}

/// paste_trigger: bit-equal.
pub fn paste_trigger(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let (x, shape) = case.ranked::<4>("x", "NCHW")?;
    let (trigger, [tc, th, tw]) = case.ranked::<3>("trigger", "[C, h, w]")?;
    let [n, c, h, w] = shape;
    if tc != c {
        return Err(case.malformed(format!("`in.trigger` has {tc} channels, `in.x` has {c}")));
    }
    if th > h || tw > w {
        return Err(case.malformed(format!("`in.trigger` of {th} x {tw} is larger than the image of {h} x {w}")));
    }
    let (top, left) = (case.whole("top", 0, (h - th) as u32)?, case.whole("left", 0, (w - tw) as u32)?);
    let y = lab.put(&channels_last(&x.f32(), shape))?;
    let trigger = lab.put(&permute(&trigger.f32(), [1, c, th, tw], [0, 2, 3, 1]))?;
    let (order, state) = (lab.put_words(&vec![1 << 31; n])?, lab.put_words(&[0; 4])?);
    let params = [
        ("clients", 1.0),
        ("batch", n as f64),
        ("h", h as f64),
        ("w", w as f64),
        ("c", c as f64),
        ("th", th as f64),
        ("tw", tw as f64),
        ("top", f64::from(top)),
        ("left", f64::from(left)),
        ("order_stride", n as f64),
        ("x_stride", (n * c * h * w) as f64),
        ("opacity", 1.0),
    ];
    lab.launch("paste_trigger", &params, &[y, trigger, order, state])?;
    lab.run()?;
    let got = channels_second(&lab.get(y)?, shape);
    Ok(vec![Computed { name: "y".into(), shape: shape.to_vec(), got, rule: Rule::Equal }])
}
