//! What XLA documents for integers at their limits, eager and compiled alike.

use jaxnet_autograd::jit;
use jaxnet_tensor::primitive::BinaryOp;
use jaxnet_tensor::{DType, Element, Tensor, lax, tensor, try_catch};

/// An operation on these elements, eager, compiled, and compiled with operands that are constants.
#[track_caller]
fn check<T: Element>(op: BinaryOp, cases: &[(T, T, T)]) {
    let column = |pick: fn(&(T, T, T)) -> T| Tensor::from(cases.iter().map(pick).collect::<Vec<T>>());
    let (x, y, expected) = (column(|case| case.0), column(|case| case.1), column(|case| case.2));
    let run = |(x, y): (Tensor, Tensor)| lax::binary(op, &x, &y).unwrap();
    let eager = run((x.clone(), y.clone()));
    assert_eq!(eager.to_vec::<T>(), expected.to_vec::<T>(), "{op:?} {}", T::DTYPE);
    // A sum after it, so that it is fused.
    let compiled = jit(|(x, y)| run((x, y)) + Tensor::scalar(T::from_i64(0))).call((x.clone(), y.clone()));
    assert_eq!(compiled.to_vec::<T>(), expected.to_vec::<T>(), "compiled {op:?} {}", T::DTYPE);
    for &(a, b, expected) in cases {
        let constants = jit(|()| run((Tensor::scalar(a), Tensor::scalar(b)))).call(());
        assert_eq!(constants.item::<T>(), expected, "folded {op:?} {a:?} {b:?}");
        let constant = jit(|x: Tensor| run((x, Tensor::scalar(b)))).call(Tensor::from([a]));
        assert_eq!(constant.item::<T>(), expected, "beside a constant {op:?} {a:?} {b:?}");
    }
}

#[test]
fn division() {
    check(BinaryOp::Div, &[(7, 2, 3), (-7, 2, -3), (5, 0, -1), (-5, 0, -1), (0, 0, -1), (i32::MIN, -1, i32::MIN)]);
    check(BinaryOp::Div, &[(7, -2, -3), (5, 0, -1), (i64::MIN, -1, i64::MIN), (i64::MIN, 0, -1), (9_i64, 9, 1)]);
    check(BinaryOp::Div, &[(7_u8, 2, 3), (7, 0, 255), (0, 0, 255)]);
    check(BinaryOp::Div, &[(u32::MAX, 2, u32::MAX / 2), (7, 0, u32::MAX)]);
    check(BinaryOp::Rem, &[(7, 3, 1), (-7, 3, -1), (7, -3, 1), (5, 0, 5), (-5, 0, -5), (i32::MIN, -1, 0)]);
    check(BinaryOp::Rem, &[(i64::MIN, -1, 0), (i64::MIN, 0, i64::MIN), (9_i64, 4, 1)]);
    check(BinaryOp::Rem, &[(7_u8, 4, 3), (7, 0, 7)]);
    check(BinaryOp::Rem, &[(u32::MAX, 10, 5), (7, 0, 7)]);
}

#[test]
fn shifts() {
    check(BinaryOp::ShiftLeft, &[(1, 31, i32::MIN), (1, 32, 0), (1, 33, 0), (-1, -1, 0), (3, 0, 3)]);
    check(BinaryOp::ShiftLeft, &[(1, 63, i64::MIN), (1, 64, 0), (-1, -1, 0), (1_i64, 1 << 40, 0)]);
    check(BinaryOp::ShiftLeft, &[(1_u8, 7, 128), (1, 8, 0), (255, 255, 0)]);
    check(BinaryOp::ShiftLeft, &[(1, 31, 1 << 31), (1, 32, 0), (1, u32::MAX, 0)]);
    check(BinaryOp::ShiftRightLogical, &[(-1, 31, 1), (-1, 32, 0), (-1, -1, 0), (-2, 1, i32::MAX)]);
    check(BinaryOp::ShiftRightLogical, &[(-1_i64, 63, 1), (-1, 64, 0), (i64::MIN, 62, 2)]);
    check(BinaryOp::ShiftRightLogical, &[(255_u8, 7, 1), (255, 8, 0)]);
    check(BinaryOp::ShiftRightArithmetic, &[(-8, 1, -4), (-8, 32, -1), (8, 32, 0), (-8, -1, -1), (8, -1, 0)]);
    check(BinaryOp::ShiftRightArithmetic, &[(i64::MIN, 63, -1), (i64::MIN, 64, -1), (i64::MAX, 99, 0)]);
}

#[test]
fn overflow_wraps() {
    check(BinaryOp::Add, &[(i32::MAX, 1, i32::MIN)]);
    check(BinaryOp::Mul, &[(i64::MAX, 2, -2)]);
    check(BinaryOp::Sub, &[(0_u8, 1, 255)]);
    let least = tensor![i32::MIN];
    assert_eq!(least.abs().item::<i32>(), i32::MIN);
    assert_eq!((-&least).item::<i32>(), i32::MIN);
    assert_eq!(jit(|x: Tensor| (-&x, x.abs())).call(least).1.item::<i32>(), i32::MIN);
}

#[test]
fn conversions_out_of_range() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let x = tensor![3e9, -3e9, inf, -inf, nan, -1.9, 300.0];
    let integers = |x: &Tensor| {
        (
            x.astype(DType::I32).to_vec::<i32>(),
            x.astype(DType::U8).to_vec::<u8>(),
            x.astype(DType::U32).to_vec::<u32>(),
            x.astype(DType::I64).to_vec::<i64>(),
        )
    };
    let expected = (
        vec![i32::MAX, i32::MIN, i32::MAX, i32::MIN, 0, -1, 300],
        vec![255, 0, 255, 0, 0, 0, 255],
        vec![3_000_000_000, 0, u32::MAX, 0, 0, 0, 300],
        vec![3_000_000_000, -3_000_000_000, i64::MAX, i64::MIN, 0, -1, 300],
    );
    assert_eq!(integers(&x), expected);
    for dtype in [DType::I32, DType::U8, DType::U32, DType::I64] {
        let compiled = jit(|x: Tensor| (x * 1.0).astype(dtype)).call(x.clone());
        assert!(compiled.array_equal(x.astype(dtype)), "{dtype}");
    }
    // Between integers the low bits stay.
    let x = tensor![-1_i64, 1 << 32, 255, 256, i64::MIN];
    assert_eq!(x.astype(DType::U8).to_vec::<u8>(), [255, 0, 255, 0, 0]);
    assert_eq!(x.astype(DType::I32).to_vec::<i32>(), [-1, 0, 255, 256, 0]);
    assert_eq!(x.astype(DType::U32).to_vec::<u32>(), [u32::MAX, 0, 255, 256, 0]);
    assert_eq!(jit(|x: Tensor| (x + 0).astype(DType::U8)).call(x).to_vec::<u8>(), [255, 0, 255, 0, 0]);
    // To narrower floats: infinity beyond their range.
    assert!(tensor![1e6].astype(DType::F16).is_inf().item::<bool>());
}

#[test]
fn beside_floats_they_become_those() {
    let large = tensor![16_777_217; dtype = DType::I64];
    let one = tensor![1.0; dtype = DType::F64];
    assert_eq!(large.pow(&one).to_vec::<f64>(), [16_777_217.0]);
    assert_eq!(large.atan2(&one).to_vec::<f64>(), [16_777_217_f64.atan2(1.0)]);
    assert_eq!(tensor![2].pow(Tensor::ones([1]).astype(DType::BF16)).dtype(), DType::BF16);
    assert_eq!(tensor![2].pow(tensor![3]).to_vec::<f32>(), [8.0]);
}

#[test]
fn numbers_that_a_dtype_lacks_are_refused() {
    let small = tensor![200; dtype = DType::U8];
    let cases: [&dyn Fn() -> Tensor; 6] = [
        &|| tensor![1] + (1_i64 << 40),
        &|| small.clip(-5, 300),
        &|| small.maximum(-5),
        &|| small.eq(-1),
        &|| Tensor::scalar(7_u32) * -1,
        &|| jit(|x: Tensor| x + 256).call(small.clone()),
    ];
    for (i, case) in cases.iter().enumerate() {
        let message = try_catch(case).unwrap_err().to_string();
        assert!(message.contains("is none of") && message.contains("`astype`"), "{i}: {message}");
    }
    // What fits, and what promotes to a dtype that it fits.
    assert_eq!((&small + 55).to_vec::<u8>(), [255]);
    assert_eq!((Tensor::scalar(0_u32) + 0xFFFF_FFFF_i64).item::<u32>(), u32::MAX);
    assert_eq!((tensor![1; dtype = DType::I64] + (1_i64 << 40)).to_vec::<i64>(), [(1 << 40) + 1]);
    assert_eq!((tensor![1.0] * -300).to_vec::<f32>(), [-300.0]);
    assert_eq!((tensor![true] * -1).to_vec::<i32>(), [-1]);
}
