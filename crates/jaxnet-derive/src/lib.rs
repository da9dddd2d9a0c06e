//! The `Tree` derive.
