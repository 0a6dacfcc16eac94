//! Between clients and server: the weighted mean of clients' tensors and its broadcast.
pub mod broadcast;
pub mod weighted_mean;
