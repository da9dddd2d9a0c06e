//! Reductions over whole axes, and cumulative ones.

use std::sync::Arc;

use super::hlo::{Builder, Value, braces};
use crate::aval::{Aval, Scalar};
use crate::dtype::DType;
use crate::primitive::{ArgKind, CumulativeKind, Reduce, ReduceKind};
use crate::shape::{Dims, Shape};

pub(super) fn lower(b: &mut Builder<'_>, op: &Reduce, input: &Value, output: &Aval) -> Value {
    match op {
        Reduce::Reduce { kind, axes } => reduce(b, *kind, input, axes, output),
        Reduce::Arg { kind, axis, dtype } => arg(b, *kind, input, *axis, *dtype, output),
        Reduce::Cumulative { kind, axis, reverse } => {
            b.within(sum_dtype(input.dtype), input, |b, x| cumulative(b, *kind, x, *axis, *reverse))
        }
    }
}

/// What sums and products are computed in: half precision would lose more at each step than the result
/// may be off by.
pub(super) const fn sum_dtype(dtype: DType) -> DType {
    match dtype {
        DType::BF16 | DType::F16 => DType::F32,
        other => other,
    }
}

fn reduce(b: &mut Builder<'_>, kind: ReduceKind, input: &Value, axes: &[usize], output: &Aval) -> Value {
    let (neutral, dtype) = match kind {
        ReduceKind::Sum => (Scalar::Int(0), sum_dtype(input.dtype)),
        ReduceKind::Prod => (Scalar::Int(1), sum_dtype(input.dtype)),
        ReduceKind::Max => (least(input.dtype), input.dtype),
        ReduceKind::Min => (greatest(input.dtype), input.dtype),
        ReduceKind::And => (Scalar::Int(-1), input.dtype),
        ReduceKind::Or => (Scalar::Int(0), input.dtype),
    };
    let combine = match kind {
        ReduceKind::Sum => b.reducer("add", dtype),
        ReduceKind::Prod => b.reducer("multiply", dtype),
        ReduceKind::Max | ReduceKind::Min => b.extreme_reducer(kind == ReduceKind::Max, dtype),
        ReduceKind::And => b.reducer("and", dtype),
        ReduceKind::Or => b.reducer("or", dtype),
    };
    let attributes = format!("dimensions={}, to_apply={combine}", braces(axes));
    b.within(dtype, input, |b, x| {
        let neutral = b.scalar(dtype, neutral);
        b.op("reduce", dtype, &output.shape, &[x, &neutral], &attributes)
    })
}

/// The element and its index are reduced together, by an order in which no two are equal.
fn arg(b: &mut Builder<'_>, kind: ArgKind, input: &Value, axis: usize, dtype: DType, output: &Aval) -> Value {
    let index = index_dtype(input.shape[axis]);
    let places = b.iota(index, &input.shape, axis);
    let order = if kind == ArgKind::Max { Order::Greatest } else { Order::Least };
    let worst = b.scalar(input.dtype, order.worst(input.dtype));
    let nowhere = b.scalar(index, greatest(index));
    let combine = first_in_order(b, order, &[input.dtype, index]);
    let attributes = format!("dimensions={{{axis}}}, to_apply={combine}");
    let types = [(input.dtype, output.shape.clone()), (index, output.shape.clone())];
    let found = b.tuple_op("reduce", &types, &[input, &places, &worst, &nowhere], &attributes);
    b.convert(&found[1], dtype)
}

/// An integer dtype for indices below `end`.
pub(super) fn index_dtype(end: usize) -> DType {
    if i32::try_from(end).is_ok() { DType::I32 } else { DType::I64 }
}

/// Which element comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Greatest,
    Least,
}

impl Order {
    /// What no element comes after.
    pub fn worst(self, dtype: DType) -> Scalar {
        match self {
            Order::Greatest => least(dtype),
            Order::Least => greatest(dtype),
        }
    }
}

/// A reducer that keeps, of two groups of an element, its index and what goes along, the one that comes
/// first: NaN before everything, and of equal elements that with the lesser index.
pub(super) fn first_in_order(b: &mut Builder<'_>, order: Order, dtypes: &[DType]) -> Arc<str> {
    let direction = if order == Order::Greatest { "GT" } else { "LT" };
    let count = dtypes.len();
    let parameters: Vec<(DType, Shape)> = dtypes.iter().chain(dtypes).map(|&dtype| (dtype, Shape::scalar())).collect();
    let name = if order == Order::Greatest { "greatest" } else { "least" };
    let made: Result<_, std::convert::Infallible> = b.tuple_result(name, &parameters, |b, x| {
        let (left, right) = x.split_at(count);
        let before = b.compare(direction, &left[0], &right[0]);
        let equal = b.compare("EQ", &left[0], &right[0]);
        let (before, equal) = if left[0].dtype.is_float() {
            let (left_nan, right_nan) = (b.is_nan(&left[0]), b.is_nan(&right[0]));
            let right_number = b.not(&right_nan);
            let only_left = b.and(&left_nan, &right_number);
            let both = b.and(&left_nan, &right_nan);
            (b.or(&before, &only_left), b.or(&equal, &both))
        } else {
            (before, equal)
        };
        let earlier = b.compare("LT", &left[1], &right[1]);
        let earlier = b.and(&equal, &earlier);
        let keep = b.or(&before, &earlier);
        Ok(left.iter().zip(right).map(|(left, right)| b.select(&keep, left, right)).collect())
    });
    let Ok(made) = made;
    made
}

/// Along long axes first within blocks and among the blocks' last results, so that the steps are few and most of them
/// on little.
fn cumulative(b: &mut Builder<'_>, kind: CumulativeKind, x: &Value, axis: usize, reverse: bool) -> Value {
    const BLOCK: usize = 16;
    let size = x.shape[axis];
    if x.shape.size() == 0 {
        return x.clone();
    }
    let neutral = match kind {
        CumulativeKind::Sum => Scalar::Int(0),
        CumulativeKind::Prod => Scalar::Int(1),
        CumulativeKind::Max => least(x.dtype),
        CumulativeKind::Min => greatest(x.dtype),
        CumulativeKind::LogSumExp => Scalar::Float(f64::NEG_INFINITY),
    };
    let neutral = b.scalar(x.dtype, neutral);
    if size <= 4 * BLOCK {
        return doubling(b, kind, x, &neutral, axis, reverse);
    }
    let count = size.div_ceil(BLOCK);
    // What fills the last block comes after all others in the direction of the sum.
    let filler = (count * BLOCK - size) as i64;
    let filler = if reverse { (filler, 0) } else { (0, filler) };
    let filled = pad_axis(b, x, &neutral, axis, filler);
    let mut dims = Dims::from_slice(&filled.shape);
    dims[axis] = count;
    let of_blocks: Shape = dims.iter().copied().collect();
    dims.insert(axis + 1, BLOCK);
    let blocks = b.reshape(&filled, &dims.iter().copied().collect());
    let within = doubling(b, kind, &blocks, &neutral, axis + 1, reverse);
    let last = if reverse { 0 } else { BLOCK - 1 };
    let whole = slice_axis(b, &within, axis + 1, last, last + 1);
    let whole = b.reshape(&whole, &of_blocks);
    let before = cumulative(b, kind, &whole, axis, reverse);
    let before = pad_axis(b, &before, &neutral, axis, if reverse { (-1, 1) } else { (1, -1) });
    let kept: Vec<usize> = (0..=x.rank()).filter(|&i| i != axis + 1).collect();
    let before = b.op("broadcast", x.dtype, &within.shape, &[&before], &format!("dimensions={}", braces(kept)));
    let result = combine(b, kind, &before, &within);
    let result = b.reshape(&result, &filled.shape);
    let start = filler.0 as usize;
    slice_axis(b, &result, axis, start, start + size)
}

/// Each element is combined with those 1, 2, 4, … places before.
fn doubling(
    b: &mut Builder<'_>,
    kind: CumulativeKind,
    x: &Value,
    neutral: &Value,
    axis: usize,
    reverse: bool,
) -> Value {
    let mut result = x.clone();
    let mut distance = 1;
    while distance < x.shape[axis] {
        let by = distance as i64;
        let moved = pad_axis(b, &result, neutral, axis, if reverse { (-by, by) } else { (by, -by) });
        result = combine(b, kind, &moved, &result);
        distance *= 2;
    }
    result
}

fn combine(b: &mut Builder<'_>, kind: CumulativeKind, x: &Value, y: &Value) -> Value {
    match kind {
        CumulativeKind::Sum => b.add(x, y),
        CumulativeKind::Prod => b.mul(x, y),
        CumulativeKind::Max => b.max(x, y),
        CumulativeKind::Min => b.min(x, y),
        CumulativeKind::LogSumExp => log_add_exp(b, x, y),
    }
}

fn pad_axis(b: &mut Builder<'_>, x: &Value, value: &Value, axis: usize, (low, high): (i64, i64)) -> Value {
    let mut padding = vec![(0, 0, 0); x.rank()];
    padding[axis] = (low, high, 0);
    b.pad(x, value, &padding)
}

fn slice_axis(b: &mut Builder<'_>, x: &Value, axis: usize, start: usize, limit: usize) -> Value {
    let (mut starts, mut limits) = (vec![0; x.rank()], x.shape.to_vec());
    (starts[axis], limits[axis]) = (start, limit);
    b.slice(x, &starts, &limits, &vec![1; x.rank()])
}

/// `log(exp(x) + exp(y))`.
fn log_add_exp(b: &mut Builder<'_>, x: &Value, y: &Value) -> Value {
    let greater = b.max(x, y);
    let difference = b.sub(x, y);
    let distance = b.unary("abs", &difference);
    let distance = b.neg(&distance);
    let ratio = b.unary("exponential", &distance);
    let rest = super::special::log1p(b, &ratio);
    let sum = b.add(&greater, &rest);
    // The difference of equal infinities is NaN.
    let equal = b.compare("EQ", x, y);
    let double = b.add_number(x, std::f64::consts::LN_2);
    b.select(&equal, &double, &sum)
}

/// The neutral element of maxima.
pub(super) fn least(dtype: DType) -> Scalar {
    match dtype {
        DType::Bool | DType::U8 | DType::U32 => Scalar::Int(0),
        DType::I32 => Scalar::Int(i32::MIN.into()),
        DType::I64 => Scalar::Int(i64::MIN),
        DType::BF16 | DType::F16 | DType::F32 | DType::F64 => Scalar::Float(f64::NEG_INFINITY),
    }
}

/// The neutral element of minima.
pub(super) fn greatest(dtype: DType) -> Scalar {
    match dtype {
        DType::Bool => Scalar::Int(1),
        DType::U8 => Scalar::Int(u8::MAX.into()),
        DType::U32 => Scalar::Int(u32::MAX.into()),
        DType::I32 => Scalar::Int(i32::MAX.into()),
        DType::I64 => Scalar::Int(i64::MAX),
        DType::BF16 | DType::F16 | DType::F32 | DType::F64 => Scalar::Float(f64::INFINITY),
    }
}
