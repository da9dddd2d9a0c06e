//! The generalized matrix product, as a batch of matrix products.

use smallvec::SmallVec;

use super::{Input, Output};
use crate::aval::Aval;
use crate::backend::cpu::CpuBuffer;
use crate::backend::cpu::gemm::{GemmElement, MatMut, MatRef, gemm_batched};
use crate::dtype::{DType, Element};
use crate::primitive::{DotGeneral, ShapeOp};
use crate::shape::Dims;

pub(super) fn run(op: &DotGeneral, inputs: &[Input<'_>], output: &mut Output<'_>) {
    match output.aval.dtype {
        DType::F32 => product::<f32>(op, inputs, output),
        DType::F64 => product::<f64>(op, inputs, output),
        DType::F16 => product::<half::f16>(op, inputs, output),
        DType::BF16 => product::<half::bf16>(op, inputs, output),
        DType::I32 => product::<i32>(op, inputs, output),
        DType::I64 => product::<i64>(op, inputs, output),
        DType::U8 => product::<u8>(op, inputs, output),
        DType::U32 => product::<u32>(op, inputs, output),
        DType::Bool => unreachable!("inference refuses bool"),
    }
}

/// An operand as a batch of matrices: sizes and strides of the batch (which may need two steps to
/// walk through), the rows and the columns.
struct Layout {
    batch: [usize; 2],
    batch_strides: [isize; 2],
    sizes: [usize; 2],
    strides: [isize; 2],
}

/// Several axes as one, if neighbours along them are at equal distances: size and stride.
fn collapse(aval: &Aval, axes: &[usize]) -> Option<(usize, isize)> {
    let strides = aval.shape.strides();
    let mut axes = axes.iter().filter(|&&axis| aval.shape[axis] != 1);
    let Some(&first) = axes.next() else {
        return Some((1, 0));
    };
    let (mut size, mut stride) = (aval.shape[first], strides[first]);
    for &axis in axes {
        if stride != strides[axis] * aval.shape[axis] {
            return None;
        }
        size *= aval.shape[axis];
        stride = strides[axis];
    }
    Some((size, stride as isize))
}

/// The batch axes as at most two.
fn collapse_batch(aval: &Aval, axes: &[usize]) -> Option<[(usize, isize); 2]> {
    if let Some(one) = collapse(aval, axes) {
        return Some([(1, 0), one]);
    }
    (1..axes.len()).find_map(|at| Some([collapse(aval, &axes[..at])?, collapse(aval, &axes[at..])?]))
}

impl Layout {
    /// Without moving elements, where that can be done.
    fn new(aval: &Aval, batch: &[usize], rows: &[usize], columns: &[usize]) -> Option<Layout> {
        let [outer, inner] = collapse_batch(aval, batch)?;
        let (rows, columns) = (collapse(aval, rows)?, collapse(aval, columns)?);
        Some(Layout {
            batch: [outer.0, inner.0],
            batch_strides: [outer.1, inner.1],
            sizes: [rows.0, columns.0],
            strides: [rows.1, columns.1],
        })
    }

    fn view<'a, T>(&self, data: &'a [T]) -> MatRef<'a, T> {
        MatRef::batched(data, 0, self.batch, self.batch_strides, self.sizes, self.strides)
    }
}

/// An operand whose axes were brought into another order.
struct Moved {
    aval: Aval,
    buffer: CpuBuffer,
}

/// The operand with its axes in the order batch, rows, columns.
fn moved(input: &Input<'_>, batch: &[usize], rows: &[usize], columns: &[usize]) -> Moved {
    let permutation: Dims = batch.iter().chain(rows).chain(columns).copied().collect();
    let aval = input.aval.with_shape(permutation.iter().map(|&axis| input.aval.shape[axis]).collect::<Dims>());
    let mut buffer = CpuBuffer::with_dtype(aval.dtype, aval.size());
    let operand = Input { aval: input.aval, data: super::Data::Buffer(input.held()) };
    super::shape::run(
        &ShapeOp::Transpose { permutation },
        &[operand],
        &mut Output { aval: &aval, buffer: &mut buffer },
    );
    Moved { aval, buffer }
}

fn product<T: GemmElement + Element>(op: &DotGeneral, inputs: &[Input<'_>], output: &mut Output<'_>) {
    let (lhs, rhs) = (&inputs[0], &inputs[1]);
    let out = output.slice::<T>();
    if out.is_empty() {
        return;
    }
    let lhs_rows = DotGeneral::free(lhs.aval.rank(), &op.lhs_contracting, &op.lhs_batch);
    let rhs_columns = DotGeneral::free(rhs.aval.rank(), &op.rhs_contracting, &op.rhs_batch);
    // The order of contracted axes is free: that of the left operand's memory collapses best.
    let mut order: SmallVec<[usize; 6]> = (0..op.lhs_contracting.len()).collect();
    order.sort_by_key(|&i| op.lhs_contracting[i]);
    let lhs_inner: Dims = order.iter().map(|&i| op.lhs_contracting[i]).collect();
    let rhs_inner: Dims = order.iter().map(|&i| op.rhs_contracting[i]).collect();

    let consecutive = |from: usize, len: usize| -> Dims { (from..from + len).collect() };
    let (lhs_moved, rhs_moved);
    let (lhs_layout, lhs_data) = match Layout::new(lhs.aval, &op.lhs_batch, &lhs_rows, &lhs_inner) {
        Some(layout) => (layout, lhs.slice::<T>()),
        None => {
            lhs_moved = moved(lhs, &op.lhs_batch, &lhs_rows, &lhs_inner);
            let (batch, rows) = (op.lhs_batch.len(), lhs_rows.len());
            let layout = Layout::new(
                &lhs_moved.aval,
                &consecutive(0, batch),
                &consecutive(batch, rows),
                &consecutive(batch + rows, lhs_inner.len()),
            );
            (layout.expect("axes in order collapse"), lhs_moved.buffer.as_slice())
        }
    };
    let (rhs_layout, rhs_data) = match Layout::new(rhs.aval, &op.rhs_batch, &rhs_inner, &rhs_columns) {
        Some(layout) => (layout, rhs.slice::<T>()),
        None => {
            rhs_moved = moved(rhs, &op.rhs_batch, &rhs_inner, &rhs_columns);
            let (batch, inner) = (op.rhs_batch.len(), rhs_inner.len());
            let layout = Layout::new(
                &rhs_moved.aval,
                &consecutive(0, batch),
                &consecutive(batch, inner),
                &consecutive(batch + inner, rhs_columns.len()),
            );
            (layout.expect("axes in order collapse"), rhs_moved.buffer.as_slice())
        }
    };
    let [rows, columns] = [lhs_layout.sizes[0], rhs_layout.sizes[1]];
    let batch = out.len() / (rows * columns);
    let c = MatMut::batched(out, 0, batch, rows * columns, [rows, columns], columns);
    gemm_batched(lhs_layout.view(lhs_data), rhs_layout.view(rhs_data), c, false, None);
}

#[cfg(test)]
mod tests {
    use crate::{DType, Tensor, lax};

    fn numbers(shape: &[usize], seed: u64) -> Tensor {
        let size: usize = shape.iter().product();
        let mut state = seed;
        let values: Vec<f64> = (0..size)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                ((state >> 33) % 19) as f64 - 9.0
            })
            .collect();
        Tensor::from_slice(&values, shape).unwrap()
    }

    /// The definition, element by element.
    fn naive(x: &Tensor, y: &Tensor, contracting: (&[usize], &[usize]), batch: (&[usize], &[usize])) -> Vec<f64> {
        let (a, b) = (x.to_vec::<f64>(), y.to_vec::<f64>());
        let free = crate::primitive::DotGeneral::free;
        let (rows, columns) = (free(x.rank(), contracting.0, batch.0), free(y.rank(), contracting.1, batch.1));
        let sizes = |t: &Tensor, axes: &[usize]| -> Vec<usize> { axes.iter().map(|&axis| t.shape()[axis]).collect() };
        let indices = |sizes: &[usize]| -> Vec<Vec<usize>> {
            sizes.iter().fold(vec![vec![]], |all, &size| {
                all.iter().flat_map(|i| (0..size).map(|j| [&i[..], &[j]].concat())).collect()
            })
        };
        let at = |t: &Tensor, parts: &[(&[usize], &[usize])]| -> usize {
            let strides = t.shape().strides();
            parts.iter().flat_map(|(axes, index)| axes.iter().zip(*index)).map(|(&axis, i)| strides[axis] * i).sum()
        };
        let mut out = Vec::new();
        for g in indices(&sizes(x, batch.0)) {
            for r in indices(&sizes(x, &rows)) {
                for c in indices(&sizes(y, &columns)) {
                    let terms = indices(&sizes(x, contracting.0));
                    out.push(terms.iter().fold(0.0, |sum, k| {
                        sum + a[at(x, &[(batch.0, &g), (&rows, &r), (contracting.0, k)])]
                            * b[at(y, &[(batch.1, &g), (&columns, &c), (contracting.1, k)])]
                    }));
                }
            }
        }
        out
    }

    #[test]
    fn agrees_with_the_definition() {
        type Case = (&'static [usize], &'static [usize], [&'static [usize]; 2], [&'static [usize]; 2]);
        let cases: &[Case] = &[
            (&[3, 4], &[4, 5], [&[1], &[0]], [&[], &[]]),
            (&[4, 3], &[5, 4], [&[0], &[1]], [&[], &[]]),
            (&[4], &[4], [&[0], &[0]], [&[], &[]]),
            (&[], &[3], [&[], &[]], [&[], &[]]),
            (&[3, 0], &[0, 2], [&[1], &[0]], [&[], &[]]),
            (&[0, 3], &[3, 2], [&[1], &[0]], [&[], &[]]),
            (&[2, 3, 4], &[2, 4, 5], [&[2], &[1]], [&[0], &[0]]),
            (&[3, 2, 4], &[4, 5, 2], [&[2], &[0]], [&[1], &[2]]),
            (&[2, 3, 4, 5], &[5, 3, 7, 2], [&[1, 3], &[1, 0]], [&[0], &[3]]),
            (&[2, 6, 3, 4], &[2, 5, 3, 4], [&[3], &[3]], [&[0, 2], &[0, 2]]),
            (&[3, 2, 4, 2], &[2, 3, 2, 5], [&[2], &[3]], [&[0, 1, 3], &[1, 0, 2]]),
        ];
        for &(a, b, contracting, batch) in cases {
            // Contracted sizes must agree for the case to mean anything.
            let (x, y) = (numbers(a, 1), numbers(b, 2));
            let (contracting, batch) = ((contracting[0], contracting[1]), (batch[0], batch[1]));
            let Ok(z) = lax::dot_general(&x, &y, contracting, batch) else {
                assert_eq!((a, b), (&[3, 2, 4, 2][..], &[2, 3, 2, 5][..]));
                continue;
            };
            assert_eq!(z.to_vec::<f64>(), naive(&x, &y, contracting, batch), "{a:?} {b:?}");
            for dtype in [DType::F32, DType::I32, DType::I64, DType::BF16] {
                let w = lax::dot_general(&x.astype(dtype), &y.astype(dtype), contracting, batch).unwrap();
                if dtype != DType::BF16 {
                    assert_eq!(w.astype(DType::F64).to_vec::<f64>(), z.to_vec::<f64>(), "{dtype}");
                }
            }
        }
    }
}
