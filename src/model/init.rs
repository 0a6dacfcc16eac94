//! DCGAN initialisation on the device: convolutions N(0, 0.02), norm scales N(1, 0.02), norm shifts 0, running mean 0 and
//! variance 1 (arXiv 1511.06434; PyTorch's DCGAN tutorial).

use super::{LayerKind, Network, NetworkBank};
use crate::Result;
use crate::exec::{Recording, Tensor};
use crate::kernels::rng::RngParams;
use crate::kernels::rng::rng_normal::RngNormal;
use crate::kernels::util::fill::{Fill, FillParams};

const STD: f32 = 0.02;

/// Records the initialisation of a bank. Parameter `i` draws from stream `stream + i`, each client row with its own
/// key. `state` is the step state; its counters enter the draw, so run this at step 0 of round 0.
///
/// # Errors
/// If a layout does not fit its buffers (a bug).
pub fn record_init(
    rec: &mut Recording,
    net: &Network,
    bank: &NetworkBank,
    seed: u64,
    stream: u32,
    state: Tensor,
) -> Result<()> {
    let clients = bank.clients;
    for layer in &net.layers {
        let norm = matches!(layer.kind, LayerKind::BatchNorm | LayerKind::InstanceNorm);
        for (role, &index) in layer.params.iter().enumerate() {
            let spec = &net.params[index];
            let tensor = bank.param(bank.weights, net, index);
            let (n, y_stride) = (spec.words() as u32, net.stride as u32);
            if norm && role == 1 {
                let p = FillParams { clients, n, y_stride, value: 0.0 };
                rec.launch(&Fill, &p, &[tensor], format!("init {}", spec.name))?;
                continue;
            }
            let p = RngParams {
                clients,
                n,
                y_stride,
                client_base: 0,
                seed_lo: seed as u32,
                seed_hi: (seed >> 32) as u32,
                stream: stream + index as u32,
                a: if norm { 1.0 } else { 0.0 },
                b: STD,
            };
            rec.launch(&RngNormal, &p, &[tensor, state], format!("init {}", spec.name))?;
        }
        if let Some(running) = layer.running {
            for (index, value) in [(running, 0.0), (running + 1, 1.0)] {
                let n = net.running[index].words() as u32;
                let p = FillParams { clients, n, y_stride: net.running_stride as u32, value };
                let label = format!("init {}", net.running[index].name);
                rec.launch(&Fill, &p, &[bank.running(net, index)], label)?;
            }
        }
    }
    Ok(())
}
