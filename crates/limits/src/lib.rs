#![doc = include_str!("../README.md")]

mod config;
mod limits;
mod stats;
mod subject;
mod verdict;

pub use self::{
    config::{
        BUILT_IN_LIMITS, KeyBy, LimitConfig, LimitsConfig, MAX_BUCKETS_PER_REQUEST, OnStoreFailure, OneOrMany, validate, validate_together,
    },
    limits::{LimitId, Limits},
    stats::LimitStats,
    subject::Subject,
    verdict::{EXCEEDED, Fields, PROBLEMS, UNAVAILABLE, Verdict},
};
