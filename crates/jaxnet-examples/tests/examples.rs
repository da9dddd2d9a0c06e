//! The numbered examples, with the assertions in them.

#[path = "../examples/02_grad.rs"]
mod grad;
#[path = "../examples/03_modules.rs"]
mod modules;
#[path = "../examples/01_tensors.rs"]
mod tensors;
#[path = "../examples/04_training_loop.rs"]
mod training_loop;

#[test]
fn tensors() {
    tensors::main().unwrap();
}

#[test]
fn grad() {
    grad::main().unwrap();
}

#[test]
fn modules() {
    modules::main().unwrap();
}

#[test]
fn training_loop() {
    training_loop::main().unwrap();
}
