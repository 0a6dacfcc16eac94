// Whether a client trains in this step: clients with few images take fewer steps per round.
// Needs the bindings `state` and `client_steps`.

//#include lib/state.wgsl

fn trains(client: u32) -> bool {
    return state[STEP] < client_steps[client];
}
