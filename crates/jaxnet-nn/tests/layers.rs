//! Layers against naive computations, and their gradients.

use jaxnet_nn::prelude::*;

/// All elements as a function of their places.
fn at(x: &Tensor) -> impl Fn(&[usize]) -> f64 + use<> {
    let (elements, strides, shape) = (x.astype(DType::F64).to_vec::<f64>(), x.shape().strides(), x.shape().clone());
    move |index| {
        assert!(index.iter().zip(shape.dims()).all(|(i, size)| i < size));
        elements[index.iter().zip(&strides).map(|(i, stride)| i * stride).sum::<usize>()]
    }
}

/// All places of a shape, in row-major order.
fn places(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |places, &size| {
        places.iter().flat_map(|place| (0..size).map(|i| [place.as_slice(), &[i]].concat())).collect()
    })
}

fn assert_close(x: &Tensor, expected: &[f64]) {
    let found = x.astype(DType::F64).to_vec::<f64>();
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "element {i}: {a} is not {b}");
    }
}

fn message<T>(f: impl FnOnce() -> T) -> String {
    try_catch(f).err().expect("it is refused").to_string()
}

/// Gradients of parameters and inputs are numbers, not all zero, and those of central differences.
fn check_gradient(net: &impl Module<Tensor, Output = Tensor>, params: &Params, x: &Tensor) {
    let weights = Key::new(99).normal(net.apply(params, x).shape());
    let loss = |(p, x): (Params, Tensor)| (net.apply(&p, &x) * &weights).sum();
    let at = (params.clone(), x.clone());
    let (p, g) = grad(loss)(at.clone());
    let (dp, dx) = (params.map(|_, leaf| Key::new(7).normal(leaf.shape())), Key::new(8).normal(x.shape()));
    let move_by = |h: f64| {
        let mut directions = dp.leaves().into_iter();
        (params.map(|_, leaf| leaf + directions.next().unwrap() * h), x + &dx * h)
    };
    let numeric = (loss(move_by(1e-2)).item::<f64>() - loss(move_by(-1e-2)).item::<f64>()) / 2e-2;
    let dot = |a: &Tensor, b: &Tensor| (a * b).sum().item::<f64>();
    let along: f64 = p.leaves().iter().zip(dp.leaves()).map(|(a, b)| dot(a, &b)).sum::<f64>() + dot(&g, &dx);
    assert!((along - numeric).abs() <= 2e-2 * numeric.abs().max(1.0), "{along} is not {numeric}");
}

#[test]
fn dense() {
    let layer = Dense::new(2);
    let x = Key::new(0).normal([3, 2, 4]);
    let params = layer.init_params(Key::new(1), &x);
    let (x_at, k, b) = (at(&x), at(&params["kernel"]), at(&params["bias"]));
    let expected: Vec<f64> = places(&[3, 2, 2])
        .iter()
        .map(|p| (0..4).map(|i| x_at(&[p[0], p[1], i]) * k(&[i, p[2]])).sum::<f64>() + b(&[p[2]]))
        .collect();
    assert_close(&layer.apply(&params, &x), &expected);
    check_gradient(&layer, &params, &x);
    // A vector, an empty batch, other dtypes, and the options.
    assert_eq!(layer.apply(&params, &Tensor::ones([4])).shape().dims(), [2]);
    assert_eq!(layer.apply(&params, &Tensor::ones([0, 4])).shape().dims(), [0, 2]);
    assert_eq!(layer.apply(&params, &x.astype(DType::I32)).dtype(), DType::F32);
    let plain = Dense::new(2).with_kernel_init(ones()).without_bias().named("plain");
    let net = sequential![plain];
    let params = net.init_params(Key::new(0), &x);
    assert_eq!(params.paths(), ["plain.kernel"]);
    assert_eq!(net.apply(&params, &tensor![1.0, 2.0, 3.0, 4.0]).to_vec::<f32>(), [10.0, 10.0]);
}

/// A convolution over two axes, as its definition has it.
struct Naive {
    strides: [usize; 2],
    low: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
    out: [usize; 2],
}

impl Naive {
    fn run(&self, x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Vec<f64> {
        let (x_at, k) = (at(x), at(kernel));
        let [n, height, width, _] = x.shape().dims() else { panic!("four axes") };
        let [kh, kw, ci, co] = kernel.shape().dims() else { panic!("four axes") };
        let mut result = Vec::new();
        for p in places(&[*n, self.out[0], self.out[1], *co]) {
            let group = p[3] / (co / self.groups);
            let mut sum = bias.map_or(0.0, |bias| at(bias)(&[p[3]]));
            for q in places(&[*kh, *kw, *ci]) {
                let i = (p[1] * self.strides[0] + q[0] * self.dilation[0]).checked_sub(self.low[0]);
                let j = (p[2] * self.strides[1] + q[1] * self.dilation[1]).checked_sub(self.low[1]);
                if let (Some(i), Some(j)) = (i, j)
                    && i < *height
                    && j < *width
                {
                    sum += x_at(&[p[0], i, j, group * ci + q[2]]) * k(&[q[0], q[1], q[2], p[3]]);
                }
            }
            result.push(sum);
        }
        result
    }
}

#[test]
fn convolutions() {
    let x = Key::new(0).normal([2, 5, 6, 4]);
    let plain = || Conv::new(6, [3, 2]).with_bias_init(normal(1.0));
    let one = [1, 1];
    let cases = [
        (plain(), Naive { strides: one, low: [0, 0], dilation: one, groups: 1, out: [3, 5] }),
        (plain().padding(Padding::Same), Naive { strides: one, low: [1, 0], dilation: one, groups: 1, out: [5, 6] }),
        (
            plain().padding(Padding::Same).strides([2, 3]),
            Naive { strides: [2, 3], low: [1, 0], dilation: one, groups: 1, out: [3, 2] },
        ),
        (
            plain().padding(Padding::Explicit(vec![(2, 1), (0, 3)])).dilation([2, 3]),
            Naive { strides: one, low: [2, 0], dilation: [2, 3], groups: 1, out: [4, 6] },
        ),
        (plain().groups(2), Naive { strides: one, low: [0, 0], dilation: one, groups: 2, out: [3, 5] }),
        (
            Conv::new(8, [3, 2]).groups(4).strides([2, 1]),
            Naive { strides: [2, 1], low: [0, 0], dilation: one, groups: 4, out: [2, 5] },
        ),
    ];
    for (layer, naive) in cases {
        let params = layer.init_params(Key::new(1), &x);
        assert_eq!(params.paths(), ["kernel", "bias"]);
        let y = layer.apply(&params, &x);
        assert_eq!(y.shape().dims()[1..3], naive.out);
        assert_close(&y, &naive.run(&x, &params["kernel"], Some(&params["bias"])));
        check_gradient(&layer, &params, &x);
    }
}

#[test]
fn convolutions_have_any_batch_axes_and_ranks() {
    let layer = Conv::new(3, [2, 2]).without_bias();
    let x = Key::new(0).normal([2, 3, 4, 4, 2]);
    let params = layer.init_params(Key::new(1), &x);
    let y = layer.apply(&params, &x);
    assert_eq!(y.shape().dims(), [2, 3, 3, 3, 3]);
    let one = layer.apply(&params, &x.i((1, 2)));
    assert!(one.allclose(y.i((1, 2)), 1e-5, 1e-6));
    assert_eq!(layer.apply(&params, &Tensor::zeros([0, 4, 4, 2])).shape().dims(), [0, 3, 3, 3]);
    assert_eq!(layer.apply(&params, &x.astype(DType::BF16)).dtype(), DType::F32);
    // Along one axis: the sum of neighbours; along three: the same sum in each direction.
    let sum = Conv::new(1, [2]).with_kernel_init(ones()).without_bias();
    let x = tensor![[1.0], [2.0], [4.0]];
    assert_eq!(sum.apply(&sum.init_params(Key::new(0), &x), &x).to_vec::<f32>(), [3.0, 6.0]);
    let sum = Conv::new(1, [2, 2, 2]).with_kernel_init(ones()).without_bias();
    let x = Tensor::range(8).reshape([2, 2, 2, 1]).astype(DType::F32);
    assert_eq!(sum.apply(&sum.init_params(Key::new(0), &x), &x).to_vec::<f32>(), [28.0]);
}

#[test]
fn convolutions_refuse_what_does_not_fit() {
    let x = Tensor::zeros([1, 4, 4, 3]);
    let init = |layer: Conv, x: &Tensor| message(|| sequential![layer.clone()].init_params(Key::new(0), x));
    let deep = init(Conv::new(2, [5, 5]), &x);
    assert!(deep.contains("Conv (`conv`)") && deep.contains("[5, 5]") && deep.contains("Padding::Same"), "{deep}");
    let rank = init(Conv::new(2, [3, 3]), &Tensor::zeros([4, 4]));
    assert!(rank.contains("[4, 4]") && rank.contains("expand_dims"), "{rank}");
    let groups = init(Conv::new(4, [1, 1]).groups(2), &x);
    assert!(groups.contains("2 groups") && groups.contains("3 input channels"), "{groups}");
    assert!(init(Conv::new(4, [1, 1]).groups(0), &x).contains("groups"));
    assert!(init(Conv::new(4, [1, 1]).strides([1]), &x).contains("strides"));
    assert!(init(Conv::new(4, [0, 1]), &x).contains("window"));
    assert!(init(Conv::new(4, [1, 1]).strides([0, 1]), &x).contains("strides"));
    assert!(init(Conv::new(4, [1, 1]).padding(Padding::Explicit(vec![(1, 1)])), &x).contains("padding"));
    assert!(init(Conv::new(4, []), &x).contains("spatial"));
    let layer = Conv::new(2, [3, 3]);
    let params = layer.init_params(Key::new(0), &x);
    assert!(message(|| layer.apply(&params, &Tensor::zeros([1, 4, 4, 2]))).contains("kernel"));
}

#[test]
fn pooling() {
    let x = Key::new(0).normal([2, 5, 6, 3]);
    let x_at = at(&x);
    let run = |layer: &dyn Fn(&Tensor) -> Tensor| layer(&x);
    let none = Params::empty();
    for (strides, same) in [([1, 1], false), ([2, 3], false), ([1, 2], true), ([2, 2], true)] {
        let padding = || if same { Padding::Same } else { Padding::Valid };
        let out = if same {
            [5_usize.div_ceil(strides[0]), 6_usize.div_ceil(strides[1])]
        } else {
            [(5 - 3) / strides[0] + 1, (6 - 2) / strides[1] + 1]
        };
        let low = |axis: usize, size: usize, window: usize| {
            let total = ((out[axis] - 1) * strides[axis] + window).saturating_sub(size);
            if same { total / 2 } else { 0 }
        };
        let low = [low(0, 5, 3), low(1, 6, 2)];
        let window = |p: &[usize]| -> Vec<f64> {
            places(&[3, 2])
                .iter()
                .filter_map(|q| {
                    let i = (p[1] * strides[0] + q[0]).checked_sub(low[0])?;
                    let j = (p[2] * strides[1] + q[1]).checked_sub(low[1])?;
                    (i < 5 && j < 6).then(|| x_at(&[p[0], i, j, p[3]]))
                })
                .collect()
        };
        let expected = |f: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
            places(&[2, out[0], out[1], 3]).iter().map(|p| f(&window(p))).collect()
        };
        let (max, average, sum) = (
            MaxPool::new([3, 2]).strides(strides).padding(padding()),
            AvgPool::new([3, 2]).strides(strides).padding(padding()),
            SumPool::new([3, 2]).strides(strides).padding(padding()),
        );
        assert_close(&run(&|x| max.apply(&none, x)), &expected(&|w| w.iter().copied().fold(f64::MIN, f64::max)));
        assert_close(&run(&|x| sum.apply(&none, x)), &expected(&|w| w.iter().sum()));
        assert_close(&run(&|x| average.apply(&none, x)), &expected(&|w| w.iter().sum::<f64>() / w.len() as f64));
        check_gradient(&max, &none, &x);
        check_gradient(&average, &none, &x);
        check_gradient(&sum, &none, &x);
    }
    // Without batch, with two batch axes; windows that are all padding; integers.
    let pool = MaxPool::new([2]).strides([2]);
    assert_eq!(pool.apply(&none, &tensor![[1], [5], [3], [2]]).to_vec::<i32>(), [5, 3]);
    assert_eq!(pool.apply(&none, &Tensor::zeros([2, 3, 4, 5])).shape().dims(), [2, 3, 2, 5]);
    let wide = AvgPool::new([1]).padding(Padding::Explicit(vec![(1, 1)]));
    assert_eq!(wide.apply(&none, &tensor![[2.0]]).to_vec::<f32>(), [0.0, 2.0, 0.0]);
    assert_eq!(AvgPool::new([2]).apply(&none, &tensor![[1], [2]]).to_vec::<f32>(), [1.5]);
    assert!(message(|| MaxPool::new([3]).apply(&none, &Tensor::zeros([2, 1]))).contains("MaxPool"));
    assert!(message(|| AvgPool::new([3, 3]).apply(&none, &Tensor::zeros([9, 9]))).contains("[9, 9]"));
}

#[test]
fn batch_norm() {
    let layer = BatchNorm::new().momentum(0.9);
    let x = Key::new(0).normal([4, 3, 2]) * 3.0 + 1.0;
    let vars = layer.init(Key::new(0), &x);
    assert_eq!(vars.params.paths(), ["gamma", "beta"]);
    assert_eq!(vars.state["mean"].to_vec::<f32>(), [0.0, 0.0]);
    assert_eq!(vars.state["var"].to_vec::<f32>(), [1.0, 1.0]);
    let vars = Vars { params: vars.params.with("gamma", &tensor![2.0, -1.0]).with("beta", &tensor![0.5, 3.0]), ..vars };
    let x_at = at(&x);
    let channel = |c: usize| -> Vec<f64> { places(&[4, 3]).iter().map(|p| x_at(&[p[0], p[1], c])).collect() };
    let mean = [0, 1].map(|c| channel(c).iter().sum::<f64>() / 12.0);
    let var = [0, 1].map(|c| channel(c).iter().map(|x| (x - mean[c]).powi(2)).sum::<f64>() / 12.0);
    let normalized = |mean: [f64; 2], var: [f64; 2]| -> Vec<f64> {
        let (gamma, beta) = ([2.0, -1.0], [0.5, 3.0]);
        places(&[4, 3, 2])
            .iter()
            .map(|p| (x_at(p) - mean[p[2]]) / (var[p[2]] + 1e-5).sqrt() * gamma[p[2]] + beta[p[2]])
            .collect()
    };
    let (y, state) = layer.call(&vars, &x, Mode::Train(Key::new(0)));
    assert_close(&y, &normalized(mean, var));
    let (running_mean, running_var) = (mean.map(|m| 0.1 * m), var.map(|v| 0.9 + 0.1 * v));
    assert_close(&state["mean"], &running_mean);
    assert_close(&state["var"], &running_var);
    let trained = vars.with_state(state);
    let (y, state) = layer.call(&trained, &x, Mode::Eval);
    assert_close(&y, &normalized(running_mean, running_var));
    assert_eq!(state["mean"].to_vec::<f32>(), trained.state["mean"].to_vec::<f32>());
    // JAXnet's: no state, the same in evaluation.
    let current = BatchNorm::batch_statistics();
    let y = current.apply(&vars.params, &x);
    assert_close(&y, &normalized(mean, var));
    check_gradient(&current, &vars.params, &x);
    assert!(current.init(Key::new(0), &x).state.is_empty());
    // The derivative in training is that of the batch's statistics.
    let train = |p: Params| {
        let vars = Vars { params: p, state: trained.state.clone() };
        (layer.call(&vars, &x, Mode::Train(Key::new(0))).0 * Key::new(5).normal([4, 3, 2])).sum()
    };
    let expected = grad(|p: Params| (current.apply(&p, &x) * Key::new(5).normal([4, 3, 2])).sum())(vars.params.clone());
    let found = grad(train)(vars.params.clone());
    assert!(found["gamma"].allclose(&expected["gamma"], 1e-4, 1e-5));
    // Options.
    let plain = BatchNorm::batch_statistics().axis([1, -1]).center(false).scale(false).epsilon(0.0);
    assert!(plain.init_params(Key::new(0), &x).is_empty());
    let y = plain.apply(&Params::empty(), &x);
    assert!(y.mean_axis([1, 2]).allclose(Tensor::zeros([4]), 0.0, 1e-5));
    assert!(y.var_axis([1, 2]).allclose(Tensor::ones([4]), 1e-4, 0.0));
    let first = BatchNorm::new().axis([2]).init(Key::new(0), &x);
    assert_eq!(first.params["gamma"].shape().dims(), [4, 3]);
    // Half precision does not lose the variance of numbers far from 0.
    let far = (Key::new(1).normal([64, 1]) * 16.0 + 512.0).astype(DType::F16);
    let y = current.apply(&Params::clone(&BatchNorm::batch_statistics().init_params(Key::new(0), &far)), &far);
    assert!((y.var().item::<f64>() - 1.0).abs() < 1e-3);
    assert!(message(|| BatchNorm::new().axis([3]).init(Key::new(0), &x)).contains("axes"));
    assert!(message(|| BatchNorm::new().axis([0, -3]).init(Key::new(0), &x)).contains("once"));
    assert!(message(|| layer.apply(&vars.params, &x)).contains("call"));
    assert!(message(|| layer.call(&vars, &Tensor::zeros([4, 5]), Mode::Eval)).contains("[2]"));
}

#[test]
fn batch_norm_converges_to_the_distribution() {
    let net = sequential![Dense::new(2), sequential![BatchNorm::new().momentum(0.8), relu], BatchNorm::new()];
    let mut vars = net.init(Key::new(0), &Tensor::zeros([1, 3]));
    let step = jit(|(vars, x, key): (Vars, Tensor, Key)| net.call(&vars, &x, Mode::Train(key)).1);
    for i in 0..60 {
        let x = Key::new(i).normal([64, 3]) + 2.0;
        let state = step.call((vars.clone(), x, Key::new(i)));
        vars = vars.with_state(state);
    }
    assert_eq!(step.trace_count(), 1);
    let x = Key::new(1000).normal([4096, 3]) + 2.0;
    let y = Dense::new(2).apply(&vars.params.at("dense"), &x);
    assert!(vars.state["sequential.batch_norm.mean"].allclose(y.mean_axis(0), 0.1, 0.1));
    assert!(vars.state["sequential.batch_norm.var"].allclose(y.var_axis(0), 0.15, 0.1));
}

#[test]
fn gru() {
    let cell = GruCell::new(2);
    let (carry, x) = (Key::new(0).normal([3, 2]), Key::new(1).normal([3, 4]));
    let params = cell.init_params(Key::new(2), &(carry.clone(), x.clone()));
    assert_eq!(params.paths(), ["update_kernel", "reset_kernel", "compute_kernel"]);
    let (next, y) = cell.apply(&params, &(carry.clone(), x.clone()));
    assert_eq!(next.to_vec::<f32>(), y.to_vec::<f32>());
    let (c, i) = (at(&carry), at(&x));
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mut expected = Vec::new();
    for n in 0..3 {
        let dot = |name: &str, h: [f64; 2], j: usize| -> f64 {
            let k = at(&params[name]);
            (0..4).map(|m| i(&[n, m]) * k(&[m, j])).sum::<f64>() + (0..2).map(|m| h[m] * k(&[4 + m, j])).sum::<f64>()
        };
        let h = [c(&[n, 0]), c(&[n, 1])];
        let reset = [0, 1].map(|j| sigmoid(dot("reset_kernel", h, j)));
        for j in 0..2 {
            let update = sigmoid(dot("update_kernel", h, j));
            let compute = dot("compute_kernel", [reset[0] * h[0], reset[1] * h[1]], j).tanh();
            expected.push(update * compute + (1.0 - update) * h[j]);
        }
    }
    assert_close(&y, &expected);
    let wrong = message(|| cell.apply(&params, &(Tensor::zeros([3, 5]), x.clone())));
    assert!(wrong.contains("GruCell") && wrong.contains("initial_carry"), "{wrong}");
    assert!(message(|| cell.apply(&params, &(Tensor::zeros([2, 2]), x.clone()))).contains("GruCell"));
}

#[test]
fn recurrent_nets_run_over_the_sequence() {
    let cell = GruCell::new(2);
    let net = Rnn::new(cell.clone());
    let x = Key::new(0).normal([3, 5, 4]);
    let params = net.init_params(Key::new(1), &x);
    assert_eq!(params.paths()[0], "gru_cell.update_kernel");
    let y = net.apply(&params, &x);
    let mut carry = cell.initial_carry(3);
    for step in 0..5 {
        carry = cell.apply(&params.at("gru_cell"), &(carry, x.i((.., step)))).0;
        assert!(y.i((.., step)).allclose(&carry, 1e-5, 1e-6));
    }
    check_gradient(&net, &params, &x);
    let fast = jit(|(p, x): (Params, Tensor)| net.apply(&p, &x));
    assert!(fast.call((params.clone(), x.clone())).allclose(&y, 1e-5, 1e-6));
    // An empty sequence; any other module as a cell, with any carry.
    assert_eq!(net.apply(&params, &Tensor::zeros([3, 0, 4])).shape().dims(), [3, 0, 2]);
    let counter = |(count, x): &((Tensor, Tensor), Tensor)| {
        let next = &count.0 + 1.0;
        ((next.clone(), count.1.clone()), x * next)
    };
    let net =
        Rnn::with_initial_carry(counter, |batch| (Tensor::zeros(batch.with_axis(batch.rank(), 1)), Tensor::zeros([])));
    let y = net.apply(&Params::empty(), &Tensor::ones([2, 3, 1]));
    assert_eq!(y.to_vec::<f32>(), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    assert!(message(|| net.apply(&Params::empty(), &Tensor::ones([2]))).contains("[batch.., sequence, channels]"));
    // Stacked, as parts of a net.
    let net = sequential![Rnn::new(GruCell::new(4)), Rnn::new(GruCell::new(2)), Dense::new(1)];
    let params = net.init_params(Key::new(0), &x);
    assert_eq!(params.paths()[3], "rnn1.gru_cell.update_kernel");
    assert_eq!(net.apply(&params, &x).shape().dims(), [3, 5, 1]);
    check_gradient(&net, &params, &x);
}

#[test]
fn a_net_of_many_layers_learns() {
    // Bright left halves against bright right halves.
    let net = sequential![
        Conv::new(4, [3, 3]).padding(Padding::Same),
        relu,
        MaxPool::new([2, 2]).strides([2, 2]),
        flatten,
        Dense::new(2)
    ];
    let labels = Key::new(0).randint([32], 0, 2);
    let column = Tensor::range(6).ge(3).astype(DType::I32);
    let bright = labels.expand_dims(-1).eq(&column).astype(DType::F32);
    let images = Key::new(1).normal([32, 6, 6, 1]) * 0.3 + bright.reshape([32, 1, 6, 1]);
    let loss = |p: &Params| softmax_cross_entropy_with_integer_labels(&net.apply(p, &images), &labels).mean();
    let step = jit(|p: Params| {
        let (l, g) = value_and_grad(|p: Params| loss(&p))(p.clone());
        let mut g = g.leaves().into_iter();
        (p.map(|_, leaf| leaf - g.next().expect("a gradient for each") * 0.3), l)
    });
    let mut params = net.init_params(Key::new(2), &images);
    let first = loss(&params).item::<f32>();
    for _ in 0..40 {
        params = step.call(params).0;
    }
    let last = loss(&params).item::<f32>();
    assert!(last < 0.1 && last < first / 5.0, "{first} to {last}");
    assert!(accuracy(&net.apply(&params, &images), &labels).item::<f32>() > 0.95);
}
