//! Pages for people.

// Its code needs `jaxnet-optim`, which needs this crate; the examples' package compiles and runs it.
#[cfg_attr(not(doctest), doc = include_str!("../docs/jax_users.md"))]
pub mod jax_users {}
