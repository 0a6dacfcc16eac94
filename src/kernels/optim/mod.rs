//! Optimisers, in place on every active client.
pub mod adam;
pub mod rmsprop;
