// Sums over a workgroup's lanes by a tree that halves their number: a fixed order, so results repeat bit for bit.
//
// A shader that includes this file supplies, through lib/scalar_tree, through lib/channel_tree or itself:
//   T        the type that a lane adds: a number or vector
//   THREADS  lanes of the workgroup, a power of two
//   LX       number of sums side by side, a power of two: lane l adds to sum l % LX

var<workgroup> part: array<T, THREADS>;

// Adds the lanes' values; the sums are in the first LX places of `part`.
fn add_lanes(lane: u32, value: T) {
    part[lane] = value;
    workgroupBarrier();
    for (var width = THREADS / 2u; width >= LX; width /= 2u) {
        if lane < width {
            part[lane] += part[lane + width];
        }
        workgroupBarrier();
    }
}
