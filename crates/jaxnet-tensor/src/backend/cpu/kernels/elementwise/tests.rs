use crate::{DType, Tensor, lax, primitive::*, tensor};

fn binary<T: crate::Element>(op: BinaryOp, x: &Tensor, y: &Tensor) -> Vec<T> {
    lax::binary(op, x, y).unwrap().to_vec()
}

#[test]
fn integers_behave_as_xla_documents() {
    let x = tensor![7, -7, 5, i32::MIN];
    let y = tensor![2, 2, 0, -1];
    assert_eq!(binary::<i32>(BinaryOp::Div, &x, &y), [3, -3, -1, i32::MIN]);
    assert_eq!(binary::<i32>(BinaryOp::Rem, &x, &y), [1, -1, 5, 0]);
    let by = tensor![1, 31, 32, -1];
    let x = tensor![-2, -2, -2, -2];
    assert_eq!(binary::<i32>(BinaryOp::ShiftLeft, &x, &by), [-4, 0, 0, 0]);
    assert_eq!(binary::<i32>(BinaryOp::ShiftRightLogical, &x, &by), [i32::MAX, 1, 0, 0]);
    assert_eq!(binary::<i32>(BinaryOp::ShiftRightArithmetic, &x, &by), [-1, -1, -1, -1]);
    let x = tensor![200u8, 7, 9];
    let y = tensor![100u8, 0, 2];
    assert_eq!(binary::<u8>(BinaryOp::Add, &x, &y), [44, 7, 11]);
    assert_eq!(binary::<u8>(BinaryOp::Div, &x, &y), [2, 255, 4]);
    assert_eq!(tensor![i32::MIN, -3, 3].abs().to_vec::<i32>(), [i32::MIN, 3, 3]);
}

#[test]
fn conversions_saturate_and_wrap() {
    let x = tensor![-1.9, 1e10, f32::NAN, f32::NEG_INFINITY, 0.0];
    assert_eq!(x.astype(DType::I32).to_vec::<i32>(), [-1, i32::MAX, 0, i32::MIN, 0]);
    assert_eq!(x.astype(DType::U8).to_vec::<u8>(), [0, 255, 0, 0, 0]);
    assert_eq!(x.astype(DType::Bool).to_vec::<bool>(), [true, true, true, true, false]);
    assert_eq!(tensor![-1, 256, 300].astype(DType::U8).to_vec::<u8>(), [255, 0, 44]);
    assert_eq!(tensor![-1].astype(DType::U32).to_vec::<u32>(), [u32::MAX]);
}

#[test]
fn extremes_propagate_nan() {
    let (nan, x) = (f32::NAN, 1.0f32);
    let a = tensor![nan, x, nan, 2.0f32];
    let b = tensor![x, nan, nan, 3.0f32];
    for op in [BinaryOp::Max, BinaryOp::Min] {
        let y = binary::<f32>(op, &a, &b);
        assert!(y[..3].iter().all(|y| y.is_nan()) && !y[3].is_nan(), "{op:?} {y:?}");
    }
    assert_eq!(tensor![-0.0, 0.0, -2.5].sign().to_vec::<f32>().map_bits(), [-0.0f32, 0.0, -1.0].to_vec().map_bits());
}

trait Bits {
    fn map_bits(self) -> Vec<u32>;
}

impl Bits for Vec<f32> {
    fn map_bits(self) -> Vec<u32> {
        self.into_iter().map(f32::to_bits).collect()
    }
}

#[test]
fn scalars_stand_beside_any_shape() {
    // Longer than a block and than a task, with a remainder.
    for len in [0, 1, 5, 255, 256, 257, 1000, 100_003] {
        let values: Vec<f32> = (0..len).map(|i| i as f32).collect();
        let x = Tensor::from(values.clone());
        let expected: Vec<f32> = values.iter().map(|x| 10.0 - x).collect();
        assert_eq!((10.0 - &x).to_vec::<f32>(), expected);
        let expected: Vec<f32> = values.iter().map(|x| x - 10.0).collect();
        assert_eq!((&x - 10.0).to_vec::<f32>(), expected);
        let expected: Vec<f32> = values.iter().map(|x| if *x > 3.0 { *x } else { 3.0 }).collect();
        assert_eq!(x.gt(3.0).select(&x, 3.0).to_vec::<f32>(), expected);
    }
}

#[test]
fn half_precision_rounds_once() {
    use half::{bf16, f16};
    let values: Vec<f16> = (0..600).map(|i| f16::from_f32(i as f32 * 0.37 - 100.0)).collect();
    let x = Tensor::from(values.clone());
    let y = (&x * 3.0 + 1.0).to_vec::<f16>();
    for (x, y) in values.iter().zip(y) {
        let product = f16::from_f32(x.to_f32() * 3.0);
        assert_eq!(y, f16::from_f32(product.to_f32() + 1.0));
    }
    let x = tensor![bf16::from_f32(2.0)];
    assert_eq!(x.sqrt().to_vec::<bf16>(), [bf16::from_f32(2f32.sqrt())]);
    assert_eq!(x.is_finite().to_vec::<bool>(), [true]);
}
