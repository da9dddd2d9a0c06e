//! Mistakes, each tried for real: the message names the operation, what it got and a repair, and points at
//! the line that made the mistake.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use jaxnet_autograd::*;
use jaxnet_examples::data::Mnist;
use jaxnet_examples::device;
use jaxnet_nn::StateDict;
use jaxnet_nn::prelude::*;
use jaxnet_optim::*;
use jaxnet_tensor::{Aval, NewAxis, OrRaise};

thread_local! {
    /// Where the panic that is waited for was raised.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The message with which it panics, and the place.
fn panics<T>(f: impl FnOnce() -> T) -> (String, String) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PLACE.with_borrow_mut(|place| match (place, info.location()) {
                (Some(place), Some(here)) => *place = format!("{}:{}", here.file(), here.line()),
                _ => others(info),
            });
        }));
    });
    PLACE.set(Some(String::new()));
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    let place = PLACE.take().unwrap_or_default();
    let Err(payload) = result else { return ("nothing".into(), "no panic".into()) };
    (*payload.downcast::<String>().expect("a message"), place)
}

/// Checks that each expression panics with a message that has the text, and that the panic or the message
/// points at the line.
macro_rules! refused {
    ($($mistake:expr => $text:literal;)*) => {$({
        let line = line!();
        let (message, place) = panics(|| $mistake);
        let told = format!("{message}\n{place}");
        assert!(message.contains($text), "line {line}, {}: {told}", stringify!($mistake));
        assert!(told.contains(&format!("{}:", file!())), "line {line}, {}: {told}", stringify!($mistake));
    })*};
}

#[test]
fn shapes() {
    let x = Tensor::ones([2, 3]);
    refused! {
        &x + Tensor::ones([2]) => "add: cannot broadcast shapes [2, 3] and [2]; sizes must be equal or 1";
        x.matmul(&x) => "matmul: f32[2,3] and f32[2,3]: the last axis of the left operand (3) must be as long as";
        x.reshape([4, -1]) => "reshape: cannot reshape f32[2,3] to [4, -1]: 6 elements cannot be split evenly";
        x.reshape([7]) => "6 elements do not fill 7 places";
        x.broadcast_to([2, 4]) => "broadcast_to: cannot broadcast shape [2, 3] to [2, 4]; sizes must be equal or 1";
        x.broadcast_to([3]) => "broadcast_to: cannot broadcast shape [2, 3] to [3], which has fewer axes";
        Tensor::concatenate(&[x.clone(), Tensor::ones([2, 2])], 0) => "differ in more than the size of axis 0";
        Tensor::concatenate(&[], 0) => "concatenate: needs at least one tensor";
        Tensor::stack(&[x.clone(), Tensor::ones([2])], 0) => "stack: the tensors must have one shape, got f32[2,3] and f32[2]";
        x.split(2, 1) => "split: axis 1 of f32[2,3] cannot be split into 2 equal parts; see `split_at`";
        x.split_at(&[2, 1], 1) => "split_at: the indices [2, 1] must ascend";
        x.split_at(&[9], 1) => "up to 3, the size of axis 1 of f32[2,3]";
        x.pad(&[(1, 1)], 0.0) => "pad: needs a padding for each axis of [2, 3]";
        x.pad(&[(-5, 0), (0, 0)], 0.0) => "leaves less than nothing of axis 0";
        x.gt(0.0).select(Tensor::ones([4]), 0.0) => "select: cannot broadcast bool[2,3] with f32[4]";
        x.take_along_axis(tensor![0], 0) => "take_along_axis: i32[1] along axis 0 of f32[2,3]";
        Tensor::einsum("ij,jk->ik", &[&x, &x]) => "einsum: \"ij,jk->ik\" with f32[2,3], f32[2,3]: 'j' has size 3";
        x.tensordot(&x, 1) => "tensordot: axes [1] of f32[2,3]";
        Tensor::from([1.0, 2.0]).dynamic_slice([0], [3]) => "a slice of shape [3] does not fit into f64[2]";
        Tensor::from_slice(&[1, 2, 3], [2, 2]).or_raise() => "3 elements do not fill shape [2, 2]";
    }
}

#[test]
fn axes_and_places() {
    let x = Tensor::ones([2, 3]);
    refused! {
        x.sum_axis(5) => "sum: axis 5 of shape [2, 3] does not exist; axes are 0..=1 or -2..=-1";
        x.sum_axis([0, 0]) => "names axis 0 twice";
        x.transpose([0, 0]) => "transpose: permutation [0, 0] names axis 0 twice";
        x.transpose([0]) => "does not name every axis";
        x.squeeze(0) => "squeeze: axis 0 of f32[2,3] is not of size 1";
        x.expand_dims(4) => "expand_dims: axis 4";
        x.argmax(2) => "argmax: axis 2";
        Tensor::zeros([0]).argmax(0) => "argmax: axis 0 of [0] is empty";
        x.cumsum(-3) => "cumsum: axis -3";
        x.sort(2) => "sort: axis 2";
        x.top_k(4) => "top_k: the last axis of [2, 3] does not have 4 elements";
        x.diagonal(0).diagonal(0) => "diagonal: needs at least two axes, got f32[2]";
        Tensor::from(1.0).diag() => "diag: needs at least one axis";
        Tensor::from(1.0).dim(0) => "dim: axis 0 of a scalar does not exist";
        Key::new(0).permutation(&x, 3) => "permutation: axis 3";
        x.i(5) => "index: there is no element 5 along axis 0 of f32[2,3]; places are 0..=1 or -2..=-1";
        x.i((0, 0, 0)) => "index: 3 axes are indexed, but f32[2,3] has 2";
        x.i((0.., NewAxis, 9)) => "index: there is no element 9 along axis 1";
        x.at(7).set(1.0) => "there is no element 7";
        x.at(0).set(tensor![1.0, 2.0]) => "at.set: values f32[2] do not broadcast to the indexed shape [3]";
    }
}

#[test]
fn dtypes() {
    let (x, n) = (Tensor::ones([2, 3]), tensor![1, 2]);
    refused! {
        &x & &x => "and: does not take f32 operands; convert them with `.astype`";
        !&x => "not: does not take f32 operands";
        x.clone() << 1 => "shift_left: does not take f32 operands";
        x.select(1.0, 0.0) => "select: the predicate must be bool, got f32; compare it with 0";
        x.one_hot(3) => "one_hot: needs integers, got f32[2,3]; convert them with `.astype`";
        x.bitcast(DType::U8) => "f32 and u8 do not have the same width";
        n.to_vec::<f32>() => "to_vec: the elements of i32[2] are i32, not f32; convert them with `.astype` first";
        n.item::<i32>() => "item: i32[2] has 2 elements, not one; see `to_vec`";
        n.powi(-1) => "i32 has no power -1; convert the operand to floats with `.astype`";
        x.take(tensor![0.5], 0) => "places must be integers, got f32[1]; convert them with `.astype`";
        Key::new(0).bits([2], DType::F32) => "bits: gives u32 or u8, not f32";
        Key::new(0).uniform_range([2], 0.0, 1.0, DType::I32) => "uniform: needs a floating-point dtype, got i32";
        Key::new(0).fold_in(0.5) => "fold_in: needs an integer scalar, got f32[]";
        Key::new(0).randint([2], 3, 3) => "randint: there are no integers in 3..3";
        Tensor::arange(0, 1, 0) => "arange: the step must not be 0";
        Tensor::arange(0, 1 << 40, 1 << 39) => "do not fit i32";
    }
}

#[test]
fn sizes_beyond_memory() {
    let huge = Aval::new(DType::F32, [1 << 40, 1 << 40]);
    refused! {
        Tensor::zeros([1 << 40, 1 << 40]) => "f32[1099511627776,1099511627776] is larger than any memory";
        tensor![1.0].tile(&[1 << 40, 1 << 40]) => "larger than any memory";
        Tensor::full([1 << 54], 1.0, DType::F32) => "there is no memory of 72057594037927936 bytes for a tensor";
        Tensor::from_le_bytes(&huge, &[0; 4]).or_raise() => "4 bytes are not those of f32[1099511627776,1099511627776]";
    }
    // As values, too, and the process goes on.
    assert!(matches!(try_catch(|| Tensor::zeros([1 << 54])), Err(Error::Device { .. })));
    assert_eq!(Tensor::zeros([0, 1 << 40, 1 << 40]).size(), 0);
}

#[test]
fn derivatives_and_batches() {
    let (x, n) = (Tensor::ones([2, 3]), tensor![1, 2]);
    let f = |x: Tensor| x.sum();
    let double = |x: Tensor| x * 2.0;
    refused! {
        grad(double)(x.clone()) => "grad: the function must return a floating-point scalar, got f32[2,3]; reduce it";
        grad(|x: Tensor| x.astype(DType::I32).sum())(x.clone()) => "must return a floating-point scalar, got i32[]";
        grad(f)(n.clone()) => "grad: the argument is i32[2], which has no derivative; only floating-point tensors do";
        grad(f)(n.gt(1)) => "grad: the argument is bool[2], which has no derivative";
        grad(|(_, x): (Key, Tensor)| x.sum())((Key::new(0), x.clone())) => "grad: `0` is a random key";
        value_and_grad(|(a, b): (Tensor, Vec<Tensor>)| a.sum() + &b[0])((x.clone(), vec![n.clone()])) => "`1.0` is i32[2]";
        jvp(f, x.clone(), n.clone()) => "jvp: a tangent of f32[2,3] must have its shape and dtype, got i32[2]";
        vjp(f, x.clone()).1(Tensor::ones([3])) => "must have its shape and dtype, got f32[3]";
        grad(|x: Tensor| while_loop(|x: Tensor| x.lt(3.0), double, x))(Tensor::from(1.0)) => "`while_loop` is not possible";
        vmap(f)(Tensor::from(1.0)) => "vmap: the argument is f32[]*, which has no axis 0 to map over";
        vmap(|(a, b): (Tensor, Tensor)| a + b)((x.clone(), n.i(..1))) => "mapped axes differ in size: 2 of `0`, 1 of `1`";
        vmap_axes(f, 5, 0)(x.clone()) => "has no axis 5 to map over";
        vmap_axes(f, (0, 0), 0)(x.clone()) => "do not fit a tree of the structure [a tensor]";
        vmap_axes(|x: Tensor| x, 0, 7)(x.clone()) => "a result with 2 axes has no output axis 7";
        vmap_axes(|x: Tensor| x, None, 0)(x.clone()) => "no leaf of the argument has an axis to map over";
    }
}

#[test]
fn tracing_and_loops() {
    let (x, n) = (Tensor::ones([2, 3]), tensor![1, 2]);
    let same = |x: Tensor| x;
    refused! {
        jit(|x: Tensor| Tensor::from(x.sum().item::<f32>())).call(x.clone()) => "is not known while `jit` traces";
        jit(|x: Tensor| x + &n).call(x.clone()) => "add: cannot broadcast shapes [2, 3] and [2]";
        scan(|c: Tensor, x: Tensor| (c + x, ()), Tensor::from(0.0), x.clone()) => "the carry started as f32[]*, but a step gives f32[3]";
        scan(|c: Tensor, x: (Tensor, Tensor)| (c + x.0, ()), x.clone(), (x.clone(), Tensor::ones([3]))) => "leading axes differ";
        cond(true, same, |x: Tensor| x.sum(), x.clone()) => "cond: branches must give results of the same shapes and dtypes";
        cond(&x, same, same, x.clone()) => "cond: the predicate must be a bool scalar, got f32[2,3]; reduce it with `.all()`";
        while_loop(same, same, x.clone()) => "the condition must give one bool scalar, got (f32[2,3])";
        while_loop(|x: Tensor| x.sum().lt(3.0), |x: Tensor| x.sum(), x.clone()) => "while_loop: the carry started as f32[2,3]";
        switch(0, &[] as &[&dyn Fn(Tensor) -> Tensor], x.clone()) => "switch: needs at least one branch";
    }
    let kept = RefCell::new(None);
    grad(|x: Tensor| {
        *kept.borrow_mut() = Some(x.clone());
        x.sum()
    })(x);
    let kept = kept.into_inner().unwrap();
    refused! { kept.clone() + 1.0 => "a traced value of a jvp that has ended; return values from the traced function"; }
}

#[test]
fn parameters_of_other_models() {
    let x = Tensor::ones([2, 3]);
    let net = sequential![Dense::new(4), relu, Dense::new(2)];
    let params = net.init_params(Key::new(0), &x);
    let other = sequential![Dense::new(5), relu, Dense::new(2)].init_params(Key::new(0), &x);
    let single = Dense::new(5).init_params(Key::new(0), &x);
    let noisy = sequential![Dense::new(4), BatchNorm::new(), Dropout::new(0.5)];
    let vars = noisy.init(Key::new(0), &x);
    refused! {
        net.apply(&other, &x) => "kernel: the module needs a parameter of shape [3, 4], the given one is f32[3,5]";
        net.apply(&single, &x) => "kernel: no parameter was given; were these parameters made by this module";
        net.apply(&params, &Tensor::ones([2, 7])) => "the module needs a parameter of shape [7, 4]";
        net.apply(&Params::empty(), &x) => "no parameter was given";
        net.apply_from(&[], &x) => "no parameter was given";
        net.apply_from(&[noisy.reuse(&params)], &x) => "the parameters to reuse are not those of this module";
        params["dense7.kernel"].clone() => "dense7.kernel: there is no such parameter; there are dense0.kernel, dense0.bias";
        params["dense0"].clone() => "dense0: is not one tensor but a part of the tree; see `Params::at`";
        params.at("what") => "what: there is no such parameter";
        noisy.apply(&vars.params, &x) => "this module has state, and none was given; make variables with `init`";
        noisy.init_params(Key::new(0), &x) => "has state; make its variables with `init` and run it with `call";
        noisy.call(&Vars::new(vars.params.clone()), &x, Mode::Eval) => "has state, and none was given";
        Adam::new(0.1).update_from_gradients(other.clone(), Adam::new(0.1).init(params.clone())) => "dense0.kernel: the gradient is f32[3,5], but the parameter is f32[3,4]";
    }
}

#[test]
fn layers_losses_and_optimizers() {
    let x = Tensor::ones([2, 3]);
    let image = Tensor::ones([8, 8, 1]);
    let logits = Tensor::zeros([2, 3]);
    let opt = Adam::new(1e-3);
    let key = || Key::new(0);
    let labels = |labels: &Tensor| softmax_cross_entropy_with_integer_labels(&logits, labels);
    refused! {
        Dense::new(4).init_params(key(), &Tensor::from(1.0)) => "Dense: needs an input with an axis of features, got a scalar";
        Conv::new(2, [3, 3]).init_params(key(), &x) => "Conv: windows [3, 3] need an input of 2 spatial axes and then channels";
        Conv::new(2, [9, 9]).init_params(key(), &image) => "do not fit into spatial axes [8, 8]";
        Conv::new(2, [3, 3]).strides([2]).init_params(key(), &image) => "strides of [2] does not fit windows [3, 3]";
        Conv::new(2, [3, 3]).groups(3).init_params(key(), &image) => "3 groups must divide the 1 input channels";
        Conv::new(2, [3, 3]).padding([(1, 1)]).init_params(key(), &image) => "must have one pair for each spatial axis";
        MaxPool::new([3, 3, 3]).apply(&Params::empty(), &x) => "MaxPool: windows [3, 3, 3] need";
        sequential![Dense::new(2), MaxPool::new([3, 3])].init_params(key(), &x) => "MaxPool: windows [3, 3] need";
        Dropout::new(1.5) => "Dropout: the rate of elements to drop must be in 0..=1, got 1.5";
        BatchNorm::new().momentum(2.0) => "BatchNorm: the momentum must be in 0..=1, got 2";
        Rnn::new(GruCell::new(3)).init_params(key(), &x.i(0)) => "Rnn: needs inputs of shape [batch.., sequence, channels]";
        MultiHeadAttention::new(0) => "MultiHeadAttention: needs at least one head";
        MultiHeadAttention::new(2).init_params(key(), &x) => "2 heads cannot share the 3 channels of f32[2,3] evenly";
        MultiHeadAttention::new(2).cache(&x, 4) => "2 heads cannot share the 3 channels of f32[2,3] evenly";
        dot_product_attention(&image, &image, &x, None) => "ranks do not fit: queries must be of shape";
        rotary_positions(&image, &Tensor::range(8), 1e4) => "with an even number of features";
        Residual::new(Dense::new(4)).init_params(key(), &x) => "`with_shortcut` takes a module";
        resnet18().init(key(), &x) => "ResNet: needs images of shape [batch.., height, width, channels], got [2, 3]";
        WaveNet::new([], 3) => "WaveNet: needs blocks with dilations of at least 1, got []";
        WaveNet::new([4], 3).init_params(key(), &x) => "WaveNet: sees 6 places at once, got 2";
        WaveNet::new([4], 3).cache(&x.i(0)) => "WaveNet: needs inputs of shape [batch.., time, channels], got [3]";
        PixelCnn::new(2).init_params(key(), &Tensor::ones([6, 6, 3])) => "PixelCnn: needs images whose height and width 4 divides";
        down_shift(&x) => "down_shift: needs images of shape [.., height, width, channels], got [2, 3]";
        MixedPrecision::new(Dense::new(1), DType::I32) => "i32 is none of floating-point numbers";
        LossScale::new().starting_at(-1.0) => "the factor must be a positive number, got -1";
        summary(&Dense::new(4), &Tensor::from(1.0)) => "Dense: needs an input with an axis of features, got a scalar";
        labels(&tensor![0, 3]) => "label 3 is none of the 3 classes, which are counted from 0";
        labels(&tensor![0, -1]) => "label -1 is none of the 3 classes";
        labels(&tensor![0.0, 1.0]) => "labels must be integers, got f32[2]; convert them";
        labels(&tensor![0, 1, 2]) => "logits of shape [2, 3] need labels of shape [2], got [3]";
        softmax_cross_entropy(&logits, &tensor![0, 1]) => "must have the same shape";
        accuracy(&logits, &tensor![0, 1, 2]) => "accuracy: logits of shape [2, 3] need labels of shape [2], got [3]";
        opt.update(opt.init(tensor![1.0]), |x: Tensor| x) => "the function must return a floating-point scalar, got f32[1]";
        opt.init(tensor![1]) => "i32[1], which cannot be optimized";
        piecewise_constant(&[1, 2], &[0.1]) => "piecewise_constant: 2 boundaries need one value more";
        piecewise_constant(&[2, 1], &[0.1, 0.2, 0.3]) => "piecewise_constant: the boundaries must ascend";
        cosine_decay(0.1, 0, 0.0) => "cosine_decay: the number of steps must not be 0";
        clip_by_global_norm(tensor![1.0], -1.0) => "the greatest norm must be at least 0, got -1";
        clip_by_global_norm((tensor![1.0], tensor![1]), 1.0) => "gradients are of floating-point numbers, but `1` is i32[1]";
    }
}

#[test]
fn files_and_devices() {
    let params = Dense::new(2).init_params(Key::new(0), &Tensor::ones([1, 3]));
    let fails = |result: Result<()>, texts: &[&str]| {
        let message = result.unwrap_err().to_string();
        assert!(texts.iter().all(|text| message.contains(text)), "{message}");
    };
    let no_folder = ["there is no folder /no/such", "create it first"];
    fails(save(&params, "/no/such/params.safetensors"), &no_folder);
    fails(tensor![1].save_npy("/no/such/file.npy"), &no_folder);
    fails(load::<Params>("/no/such/file.safetensors").map(drop), &["/no/such/file.safetensors: "]);
    fails(Tensor::load_npy("/no/such/file.npy").map(drop), &["/no/such/file.npy: "]);
    fails(Tensor::save_npz("/no/such/file.npz", [("x", &tensor![1])]), &no_folder);
    fails(Tensor::load_npz("/no/such/file.npz").map(drop), &["/no/such/file.npz: "]);
    fails(StateDict::load("/no/such/file.safetensors").map(drop), &["/no/such/file.safetensors: "]);
    fails(Mnist::load("/no/such/folder").map(drop), &["/no/such/folder/train-images-idx3-ubyte.gz: "]);
    fails(device::by_name("nope").map(drop), &["device nope: there is no such engine; there are cpu"]);
    // A folder in place of a file.
    let folder = tempfile::tempdir().unwrap();
    fails(load::<Params>(folder.path()).map(drop), &[folder.path().to_str().unwrap()]);
    fails(Tensor::load_npy(folder.path()).map(drop), &[folder.path().to_str().unwrap()]);
}
