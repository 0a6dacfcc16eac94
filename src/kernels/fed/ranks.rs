//! What the rules over a coordinate's sorted values share.

use crate::kernels::{Build, Contents, Inputs, linear_grid, strided};

/// Largest number of clients whose values a sorting network holds in registers.
const NETWORK: u32 = 64;
/// Largest number of clients whose values a workgroup sorts.
pub const MOST_CLIENTS: u32 = 1024;

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
        return Build::plain(shared, [n.clamp(1, 65535), 1, 1]);
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
