// Which images of the step's batch carry the trigger: bit 31 of their entries in the order table.
// Needs the bindings `order` and `state`, and the parameters order_stride and batch.

//#include lib/state.wgsl

fn poisoned(client: u32, image: u32) -> bool {
    return (order[client * p.order_stride + state[STEP] * p.batch + image] & 0x80000000u) != 0u;
}
