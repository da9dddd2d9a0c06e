//! Checks for NaN find where it comes from, wherever that is.

use jaxnet_autograd::{check_nan, check_nans, cond, fori_loop, grad, jit, jvp, scan, vmap};
#[cfg(any(feature = "xla", feature = "torch"))]
use jaxnet_tensor::Device;
use jaxnet_tensor::{Result, Tensor, tensor, try_catch};

/// The message of the panic, without the part that says where the checked function was made.
fn message(result: Result<Tensor>) -> String {
    let text = result.expect_err("a NaN").to_string();
    text.split('\n').next().unwrap_or_default().to_string()
}

#[test]
fn a_function_without_nan_is_what_it_was() {
    let f = |(x, y): (Tensor, Tensor)| (x.log() * &y, y.i(0));
    let (a, b) = check_nans(f)((tensor![1.0, 2.0], tensor![3.0, 4.0]));
    assert_eq!(a.to_vec::<f32>(), [0.0, 2f32.ln() * 4.0]);
    assert_eq!(b.item::<f32>(), 3.0);
}

#[test]
fn the_first_operation_is_named() {
    let f = check_nans(|x: Tensor| x.log().exp() + 1.0);
    let text = message(try_catch(|| f(tensor![1.0, -1.0, -2.0])));
    assert!(text.contains("log(f32[3]): 2 of 3 elements of f32[3] are NaN"), "{text}");
}

#[test]
fn arguments_and_captured_tensors_are_checked() {
    let nan = tensor![f32::NAN];
    let text = message(try_catch(|| check_nans(|x: (Tensor, Tensor)| x.0)((tensor![1.0], nan.clone()))));
    assert!(text.contains("`1` of the argument"), "{text}");
    let text = message(try_catch(|| check_nans(|x: Tensor| x * &nan)(tensor![1.0])));
    assert!(text.contains("a captured tensor"), "{text}");
}

#[test]
fn checks_reach_into_programs_and_nest_with_transforms() {
    let f = |x: Tensor| {
        let branch = cond(x.i(0).gt(0.0), |x: Tensor| x.sqrt(), |x: Tensor| x.log(), x);
        fori_loop(0, 3, |_, x: Tensor| x * 1.0, branch).sum()
    };
    assert!(check_nans(f)(tensor![4.0]).item::<f32>() == 2.0);
    for text in [
        message(try_catch(|| check_nans(f)(tensor![-1.0]))),
        message(try_catch(|| check_nans(jit(f))(tensor![-1.0]))),
        message(jit(check_nans(f)).try_call(tensor![-1.0])),
        message(try_catch(|| grad(check_nans(f))(tensor![-1.0]))),
        message(try_catch(|| jvp(check_nans(f), tensor![-1.0], tensor![1.0]).1)),
        message(try_catch(|| vmap(check_nans(|x: Tensor| x.log().sum()))(tensor![[1.0], [-1.0]]))),
    ] {
        assert!(text.contains("log("), "{text}");
    }
    let steps = |x: Tensor| scan(|c: Tensor, x: Tensor| (c + x.log(), x), tensor!(0.0), x).0;
    let text = message(try_catch(|| check_nans(steps)(tensor![1.0, -1.0])));
    assert!(text.contains("log(f32[])"), "{text}");
}

#[test]
fn the_reverse_pass_is_checked_too() {
    let norm = |x: Tensor| (&x * &x).sum().sqrt();
    assert!(check_nans(norm)(tensor![0.0, 0.0]).item::<f32>() == 0.0);
    let text = message(try_catch(|| check_nans(grad(norm))(tensor![0.0, 0.0])));
    assert!(text.contains("mul("), "{text}");
}

#[test]
fn a_single_check_says_what_it_was_told() {
    let f = |x: Tensor| check_nan(&x.log(), "the logarithm") * 2.0;
    assert_eq!(f(tensor![1.0]).item::<f32>(), 0.0);
    assert!(message(try_catch(|| f(tensor![-1.0]))).contains("the logarithm: 1 of 1"));
    assert!(message(jit(f).try_call(tensor![-1.0])).contains("the logarithm: 1 of 1"));
}

/// Where an engine cannot call back, programs with checks run operation by operation.
#[cfg(any(feature = "xla", feature = "torch"))]
#[test]
fn checks_work_on_every_engine() {
    let mut devices = Vec::new();
    if cfg!(feature = "xla") {
        devices.push(Device::xla(0).unwrap());
    }
    if cfg!(feature = "torch") {
        devices.push(Device::torch(0).unwrap());
    }
    // Loops, branches and derivatives around it.
    let f = |x: Tensor| {
        let step = |c: Tensor, x: Tensor| {
            let c = check_nan(&(c + x.log()), "the sum");
            let y = cond(c.gt(0.0), |c: Tensor| c.sqrt(), |c: Tensor| c * 2.0, c.clone());
            (c, y)
        };
        let (last, ys) = scan(step, Tensor::from(0.0), x);
        fori_loop(0, 3, |_, x: Tensor| check_nan(&(x * 0.5), "a half"), last) + ys.sum()
    };
    let expected = grad(f)(tensor![2.0, 0.25, 3.0]).to_vec::<f32>();
    for device in devices {
        let there = |x: Tensor| x.to(&device).unwrap();
        let gradient = jit(grad(f)).call(there(tensor![2.0, 0.25, 3.0]));
        assert_eq!(gradient.device(), Some(&device));
        for (x, expected) in gradient.to_vec::<f32>().iter().zip(&expected) {
            assert!((x - expected).abs() <= 1e-5 * expected.abs(), "{device}: {gradient} rather than {expected:?}");
        }
        let text = message(jit(f).try_call(there(tensor![2.0, -1.0, 3.0])));
        assert!(text.contains("the sum: 1 of 1"), "{device}: {text}");
        let text = message(try_catch(|| check_nans(f)(there(tensor![2.0, -1.0, 3.0]))));
        assert!(text.contains("log("), "{device}: {text}");
    }
}
