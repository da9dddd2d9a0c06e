//! Single operations of the embedded engine, at the sizes that models have.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jaxnet_tensor::{Key, Tensor, lax};

/// Products of (m, k) and (k, n): those of the MLP, a square one, and a ResNet's first as patches.
fn matmul(c: &mut Criterion) {
    let mut group = c.benchmark_group("matmul");
    for (m, k, n) in [(1024, 1024, 1024), (128, 784, 1024), (128, 1024, 1024), (12544, 147, 64), (1, 1024, 1024)] {
        let [a, b] = Key::new(0).split_array();
        let (a, b) = (a.normal([m, k]), b.normal([k, n]));
        group.throughput(Throughput::Elements((2 * m * k * n) as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{m}x{k}x{n}")), |bencher| {
            bencher.iter(|| a.matmul(&b));
        });
    }
    group.finish();
}

type Function = fn(&Tensor) -> Tensor;

fn elementwise(c: &mut Criterion) {
    let mut group = c.benchmark_group("elementwise");
    let x = Key::new(0).uniform([1_000_000]) + 0.5;
    group.throughput(Throughput::Elements(x.size() as u64));
    let functions: [(&str, Function); 6] = [
        ("add", |x| x + 1.0),
        ("exp", Tensor::exp),
        ("log", Tensor::log),
        ("tanh", Tensor::tanh),
        ("sin", Tensor::sin),
        ("erf", Tensor::erf),
    ];
    for (name, function) in functions {
        group.bench_function(name, |bencher| bencher.iter(|| function(&x)));
    }
    group.finish();
}

fn reductions(c: &mut Criterion) {
    let mut group = c.benchmark_group("reductions");
    let x = Key::new(0).normal([1000, 1000]);
    group.throughput(Throughput::Elements(x.size() as u64));
    group.bench_function("sum", |bencher| bencher.iter(|| x.sum()));
    group.bench_function("sum rows", |bencher| bencher.iter(|| x.sum_axis(1)));
    group.bench_function("sum columns", |bencher| bencher.iter(|| x.sum_axis(0)));
    group.bench_function("max rows", |bencher| bencher.iter(|| x.max_axis(1)));
    group.bench_function("sort rows", |bencher| bencher.iter(|| x.sort(1)));
    group.finish();
}

fn random(c: &mut Criterion) {
    let mut group = c.benchmark_group("random");
    group.throughput(Throughput::Elements(1_000_000));
    group.bench_function("uniform", |bencher| bencher.iter(|| Key::new(0).uniform([1_000_000])));
    group.bench_function("normal", |bencher| bencher.iter(|| Key::new(0).normal([1_000_000])));
    group.finish();
}

/// What an operation costs beside its arithmetic.
fn dispatch(c: &mut Criterion) {
    let x = Tensor::from([1f32, 2.0, 3.0, 4.0]);
    c.bench_function("dispatch", |bencher| bencher.iter(|| &x + 1.0));
    let i = Tensor::from([0i32, 1]);
    c.bench_function("take", |bencher| bencher.iter(|| x.take(&i, 0)));
    c.bench_function("reshape", |bencher| bencher.iter(|| lax::reshape(&x, [2, 2])));
}

criterion_group!(benches, matmul, elementwise, reductions, random, dispatch);
criterion_main!(benches);
