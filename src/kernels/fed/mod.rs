//! Between clients and server: the weighted mean of clients' tensors and its broadcast; what the server's probe of the clients'
//! generators needs.
pub mod batch_mean;
pub mod broadcast;
pub mod median_deviation;
pub mod weighted_mean;
