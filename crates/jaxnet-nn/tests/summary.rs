//! What a model is made of.

mod common;

use common::*;
use jaxnet_nn::Summary;
use jaxnet_nn::prelude::*;

#[track_caller]
fn row<'a>(table: &'a Summary, path: &str) -> &'a jaxnet_nn::SummaryRow {
    let found = table.rows.iter().find(|row| row.path == path);
    found.unwrap_or_else(|| panic!("no {path} among {:?}", table.rows.iter().map(|row| &row.path).collect::<Vec<_>>()))
}

#[test]
fn residual_nets_take_as_much_as_torchvision_says() {
    let images = Tensor::zeros([1, 224, 224, 3]);
    // Billions of multiplications with additions, and parameters, as on torchvision's page of models.
    for (net, products, params) in
        [(resnet18(), 1.81, 11_689_512), (resnet34(), 3.66, 21_797_672), (resnet50(), 4.09, 25_557_032)]
    {
        let table = summary(&net, &images);
        assert_eq!(table.params(), params);
        let linear = |path: &str| {
            let name = path.rsplit('.').next().unwrap();
            name.starts_with("conv") || name == "shortcut_conv" || name == "dense"
        };
        let flops: u64 = table.rows.iter().filter(|row| linear(&row.path)).map(|row| row.flops.unwrap()).sum();
        assert!((flops as f64 / 2e9 - products).abs() < 0.006, "{flops}");
        assert!(table.flops() > flops && table.flops() < flops + flops / 20, "{}", table.flops());
        assert_eq!(row(&table, "layer2.block0.conv1").outputs[0].shape[1], if params > 22_000_000 { 56 } else { 28 });
        assert_eq!(table.rows.iter().filter(|row| row.depth == 1).map(|row| row.params).sum::<usize>(), params);
        assert_eq!(row(&table, "layer1").depth, 1);
        assert!(table.state > 0 && table.bytes == 4 * (table.params() + table.state));
    }
}

#[test]
fn parts_of_the_whole() {
    // A layer that is used twice has one set of parameters; functions and modules without parameters.
    let shared = Dense::new(4);
    let net = sequential![shared.clone(), relu, shared, Dropout::new(0.5), Dense::new(2)];
    let table = summary(&net, &Tensor::zeros([3, 4]));
    let paths: Vec<&str> = table.rows.iter().map(|row| row.path.as_str()).collect();
    assert_eq!(paths, ["sequential", "dense0", "dense0", "dropout", "dense1"]);
    let params: Vec<usize> = table.rows.iter().map(|row| row.params).collect();
    assert_eq!(params, [30, 20, 0, 0, 10]);
    let dense = 3 * (2 * 4 * 4 + 4);
    assert_eq!(table.rows[2].flops, Some(dense));
    // Comparing does not count.
    let rest = table.flops() - 2 * dense - 3 * (2 * 4 * 2 + 2);
    assert_eq!(rest, 0);
    // A loop's steps count; what is inside is shown for one step.
    let table = summary(&Rnn::new(LstmCell::new(5)), &Tensor::zeros([2, 7, 3]));
    let inner = row(&table, "lstm_cell");
    assert_eq!((inner.flops, inner.depth, inner.params), (None, 1, 4 * 5 * (3 + 5 + 1)));
    assert_eq!(inner.outputs.iter().map(|aval| aval.shape.dims()).collect::<Vec<_>>(), [[2, 5], [2, 5], [2, 5]]);
    let products = 7 * 2 * 2 * 4 * 5 * (3 + 5);
    assert!(table.flops() > products && table.flops() < products + products / 3, "{}", table.flops());
    // The same with a single step is a seventh.
    let one = summary(&Rnn::new(LstmCell::new(5)), &Tensor::zeros([2, 1, 3]));
    assert_eq!(table.flops(), 7 * one.flops());
    // Wrapped, batched, random and with state.
    let net = sequential![Remat::new(Dense::new(4)), Frozen::new(Dense::new(3)), BatchNorm::new()];
    let table = summary(&net, &Tensor::zeros([2, 4]));
    assert_eq!((table.params(), table.state, table.bytes), (20 + 15 + 6, 6, 4 * 47));
    assert_eq!(row(&table, "dense0").flops, Some(2 * (2 * 4 * 4 + 4)));
    let table = summary(&Batched::new(Dense::new(4), 0), &Tensor::zeros([6, 3]));
    assert_eq!((table.flops(), row(&table, "model").flops), (6 * (2 * 3 * 4 + 4), None));
    let noise = parametrized("noise", |cx, x: &Tensor| x + cx.random_key().normal(x.shape()));
    assert_eq!(summary(&noise, &Tensor::zeros([5])).rows[0].path, "noise");
    let table = summary(&relu, &Tensor::zeros([2, 3]));
    assert_eq!((table.params(), table.rows.len()), (0, 1));
    // A tree of inputs; a mistake is where the module is.
    let table = summary(&MultiHeadAttention::new(2), &(Tensor::zeros([3, 4]), Tensor::zeros([5, 4])));
    assert_eq!(table.rows[0].outputs[0].shape.dims(), [3, 4]);
    assert!(message(|| summary(&GroupNorm::new(4), &Tensor::zeros([2, 6]))).contains("GroupNorm"));
    // Half precision stays.
    let table = summary(&(|x: &Tensor| x.astype(DType::BF16)), &Tensor::zeros([2]));
    assert_eq!(table.rows[0].outputs[0].dtype, DType::BF16);
}

#[test]
fn the_table_is_readable() {
    let net =
        sequential![Conv::new(8, [3, 3]), relu, BatchNorm::new(), MaxPool::new([2, 2]), flatten, Dense::new(1000)];
    let text = summary(&net, &Tensor::zeros([16, 28, 28, 1])).to_string();
    let expected = "\
module        output           parameters   FLOPs
sequential    f32[16,1000]      5,001,096   162 M
  conv        f32[16,26,26,8]          80  1.64 M
  batch_norm  f32[16,26,26,8]          16   260 k
  max_pool    f32[16,25,25,8]           0   320 k
  dense       f32[16,1000]      5,001,000   160 M
5,001,096 parameters, 16 numbers of state, 20.0 MB";
    assert_eq!(text, expected, "\n{text}");
}
