// The tiles of SIDE x SIDE pairs of clients on and above the diagonal of the matrix of pairs, counted row by row.
//
// A shader that includes this file declares SIDE and the parameters `p` with `clients`.

// First clients of the two sides of tile `index`.
fn sides(index: u32) -> vec2<u32> {
    var length = (p.clients + SIDE - 1u) / SIDE;
    var row = 0u;
    var rest = index;
    while rest >= length {
        rest -= length;
        length--;
        row++;
    }
    return SIDE * vec2<u32>(row, row + rest);
}
