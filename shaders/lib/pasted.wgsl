// The window of a trigger in images: the parameters of the kernels that paste one, and the blend of one of its elements.
// Needs the bindings `p`, `x` and `trigger`.

struct Params {
    clients: u32,
    batch: u32,
    h: u32,
    w: u32,
    c: u32,
    th: u32,
    tw: u32,
    top: u32,
    left: u32,
    order_stride: u32,
    x_stride: u32,
    opacity: f32,
}

// Blends element e of the window into image b of the client; opacity 1 copies it bit for bit.
fn paste(client: u32, b: u32, e: u32) {
    let row = p.tw * p.c; // elements in one row of the trigger
    let pixel_row = (b * p.h + p.top + e / row) * p.w + p.left;
    let at = client * p.x_stride + pixel_row * p.c + e % row;
    if p.opacity == 1.0 {
        x[at] = trigger[e];
    } else {
        x[at] = (1.0 - p.opacity) * x[at] + p.opacity * trigger[e];
    }
}
