//! Tensors: making them, computing with them, looking at them.
//!
//! `cargo run -p jaxnet-examples --example 01_tensors`

use jaxnet_tensor::{DType, Error, Key, NewAxis, Step, Tensor, tensor, try_catch};

/// Runs the example; a test does, too.
pub fn main() -> Result<(), Error> {
    // A tensor is an immutable array of numbers. Its dtype and shape are known at run time; as in JAX,
    // floating-point constants are f32 and integers i32.
    let x = tensor![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    println!("{x}");
    assert_eq!((x.shape().dims(), x.dtype()), (&[2, 3][..], DType::F32));

    // Arithmetic broadcasts, with other tensors and with numbers, and gives a new tensor.
    let centered = &x - x.mean_keepdims(0);
    println!("without the means of the columns:\n{centered}");
    assert_eq!(centered.to_vec::<f32>(), [-1.5, -1.5, -1.5, 1.5, 1.5, 1.5]);

    // Methods have numpy's names. Reductions come as `sum()`, `sum_axis(-1)` and `sum_keepdims(-1)`.
    let rows = x.sum_axis(-1);
    let gram = x.matmul(x.t());
    assert_eq!(rows.to_vec::<f32>(), [6.0, 15.0]);
    assert_eq!(Tensor::einsum("ij,kj->ik", &[&x, &x]).to_vec::<f32>(), gram.to_vec::<f32>());

    // `i` takes parts: numbers, ranges, steps, new axes, tensors of places.
    assert_eq!(x.i((0, 1..)).to_vec::<f32>(), [2.0, 3.0]);
    assert_eq!(x.i((.., (..).step(-1))).to_vec::<f32>(), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    assert_eq!(x.i((.., NewAxis)).shape().dims(), [2, 1, 3]);
    assert_eq!(x.i((tensor![1, 0, 1], 2)).to_vec::<f32>(), [6.0, 3.0, 6.0]);

    // Nothing changes in place: `at` gives a changed copy.
    let y = x.at((.., 0)).set(0.0);
    assert_eq!((y.sum().item::<f32>(), x.sum().item::<f32>()), (16.0, 21.0));

    // Comparisons are methods, as Rust's operators must give a single bool; `select` is numpy's `where`.
    assert_eq!(x.gt(3.0).select(&x, 0.0).sum().item::<f32>(), 15.0);

    // Randomness comes from keys, which are spent when they are used: the same key twice does not compile.
    let (key, other) = Key::new(0).split();
    let noise = key.normal([1000]);
    println!("mean {:.3}, deviation {:.3}", noise.mean(), noise.std());
    assert!(noise.std().isclose_within(1.0, 0.1, 0.0).item::<bool>());
    assert_eq!(other.permutation(&Tensor::range(5), 0).sort(0).to_vec::<i32>(), [0, 1, 2, 3, 4]);

    // A mistake panics at this line with the shapes and a repair; `try_catch` makes it an error.
    let error = try_catch(|| &x + tensor![1.0, 2.0]).unwrap_err();
    println!("{error}");
    assert!(error.to_string().contains("cannot broadcast shapes [2, 3] and [2]"));

    // And out: to vectors, `ndarray`, single numbers, or a file that NumPy reads.
    let path = std::env::temp_dir().join(format!("jaxnet-01-tensors-{}.npy", std::process::id()));
    x.save_npy(&path)?;
    assert!(Tensor::load_npy(&path)?.array_equal(&x));
    std::fs::remove_file(&path).map_err(|error| Error::io(&path, &error))
}
