//! Random bits: no derivative; batched as elementwise operations are.
