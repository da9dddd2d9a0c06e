//! The workloads that `cargo xtask bench --peers` compares, followed over time.

use criterion::{Criterion, criterion_group, criterion_main};
use jaxnet_examples::workloads::WORKLOADS;
use jaxnet_tensor::Device;

fn workloads(c: &mut Criterion) {
    for (name, setup) in WORKLOADS {
        let mut step = setup(&Device::cpu()).expect("the embedded engine is always there");
        c.bench_function(name, |bencher| bencher.iter(&mut step));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30);
    targets = workloads
}
criterion_main!(benches);
