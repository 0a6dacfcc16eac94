//! Tests of the CPU functions and of the engine that runs them.

mod case;
mod conv;
mod norm;
mod winograd;
