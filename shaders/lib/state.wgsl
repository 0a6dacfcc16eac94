// The words of the buffer `state`, by which one recording serves every step; step_advance counts them.

const STEP: u32 = 0; // step in the round
const ROUND: u32 = 1; // round
const STEPS_IN_ALL: u32 = 2; // steps in all rounds; word 3 is free
