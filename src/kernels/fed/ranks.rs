//! What the rules over a coordinate's sorted values share.

use super::pairs::MOST_CLIENTS;
use crate::kernels::{Build, Contents, Eval, Inputs, MAX_GROUPS, U, flushed, gamma, linear_grid, strided};

/// Largest number of clients whose values a sorting network holds in registers.
const NETWORK: u32 = 64;

/// Extents of rows, of the clients taken, of the base and of the result; the window has `window` words.
pub(super) fn rank_extents(clients: u32, n: u32, x_stride: u32, window: usize) -> Result<[usize; 5], String> {
    let x = strided(clients, x_stride, n)?;
    if clients > MOST_CLIENTS {
        return Err(format!("{clients} clients: values of at most {MOST_CLIENTS} are sorted"));
    }
    Ok([x, clients as usize, n as usize, window, n as usize])
}

/// The build for a number of clients: a network of the next power of two places, or the file for more.
pub(super) fn rank_build(clients: u32, n: u32, network: &'static str, shared: &'static str) -> Build {
    if clients > NETWORK {
        return Build { file: shared, consts: vec![("MOST", MOST_CLIENTS)], grid: [n.clamp(1, MAX_GROUPS), 1, 1] };
    }
    let places = clients.next_power_of_two().max(2);
    let consts = vec![("N", places), ("LOG", places.ilog2()), ("HALF", places / 2)];
    Build { file: network, consts, grid: linear_grid(n, 256, 1) }
}

/// Values of coordinate `k` of the taken clients, ascending; `None` if one is NaN.
pub(super) fn sorted(inputs: &Inputs, clients: u32, x_stride: u32, k: usize) -> Option<Vec<f64>> {
    let taken = (0..clients as usize).filter(|c| inputs.f(1, *c) != 0.0);
    let mut values: Vec<f64> = taken.map(|c| inputs.f(0, c * x_stride as usize + k)).collect();
    values.sort_by(f64::total_cmp);
    (!values.iter().any(|v| v.is_nan())).then_some(values)
}

/// Shapes of the cases: networks of 2 to 64 places, more clients than a network has, more coordinates than lanes; an odd number of
/// coordinates stands for several values kept, an even one for one or two.
pub(super) const SHAPES: [[u32; 3]; 10] = [
    [1, 1, 64],
    [2, 70, 128],
    [4, 515, 576],
    [7, 193, 256],
    [11, 129, 192],
    [20, 67, 128],
    [33, 65, 128],
    [64, 5, 64],
    [71, 10, 64],
    [261, 3, 64],
];

/// The mean of some values by their differences from `base`; a single value to the bit.
pub(super) fn mean(values: &[f64], base: f64) -> Eval {
    let [first, ..] = values else { return Eval::exact(f64::NAN) };
    if values.len() == 1 {
        return Eval::exact(*first);
    }
    let rate = 1.0 / values.len() as f64;
    let sum: f64 = values.iter().map(|value| value - base).sum::<f64>() * rate;
    let magnitude: f64 = values.iter().map(|value| (value - base).abs()).sum::<f64>() * rate;
    // A difference, the sum, the rate's own rounding, its product; then the sum with the base.
    let roundings = values.len() + 3;
    let bound = gamma(roundings) * magnitude + U * (base + sum).abs() + 3.0 * flushed(&[rate, 1.0]);
    Eval::within(base + sum, bound).over(roundings)
}

/// Whether a client of the cases is taken: one of five is not, unless there is only one; the first is not where a network sorts.
fn is_taken(clients: u32, c: u32) -> bool {
    clients == 1 || c % 5 != if clients > NETWORK { 3 } else { 0 }
}

/// Number of taken clients of the cases.
pub(super) fn taken(clients: u32) -> u32 {
    (0..clients).filter(|c| is_taken(clients, *c)).count() as u32
}

/// The clients taken in the cases.
pub(in crate::kernels) fn taken_contents(clients: u32) -> Contents {
    Contents::Words((0..5).map(|c| f32::from(u8::from(is_taken(clients, c))).to_bits()).collect())
}

/// The clients' values: with seven clients ties, an infinity, and the NaN whose bits are closest to it.
pub(super) fn values(clients: u32) -> Contents {
    match clients {
        7 => {}
        // Medians far from 0: errors of one per cent change what is near.
        65.. => return Contents::Real { scale: 1.0, shift: 4.0 },
        _ => return Contents::NORMAL,
    }
    let value = |i: u32| match i {
        17 => f32::INFINITY,
        40 => f32::from_bits(0x7f80_0001),
        _ => (i * 7 % 23) as f32 * 0.25 - 2.0,
    };
    Contents::Words((0..61).map(|i| value(i).to_bits()).collect())
}
