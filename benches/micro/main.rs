//! Parts of the product, alone and without the kernel: what each costs by itself. Uses only what the
//! rooms show to each other, so it needs no door of its own.

mod flow;
mod pipe;
mod placement;

fn main() {
    divan::main();
}
