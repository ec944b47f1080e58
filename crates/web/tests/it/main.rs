//! The words of HTTP, seen from outside.

mod extractors;
mod pages;
mod problems;
