// The workgroup of kernels over [rows][c] or an image's [pixels][c]: LX lanes side by side along the channels, one vector of
// channels each (V is 4 where c is a multiple of 4), so that neighbouring lanes read neighbouring words; the other 256 / LX share
// the rows.

//#include lib/vector.wgsl

const LX: u32 = 8; // lanes along the channels, a power of two
const LR = 256u / LX; // lanes along the rows
