// The workgroup of kernels over [rows][c] or an image's [pixels][c]: LX lanes along the channels, one vector of channels
// each (V is 4 if c is a multiple of 4), so that neighbouring lanes read neighbouring words, times 256 / LX lanes along the rows.

//#include lib/vector.wgsl

const LX: u32 = 8; // lanes along the channels, a power of two
const LR = 256u / LX; // lanes along the rows
