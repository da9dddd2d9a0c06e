//! How much arithmetic operations are.

use super::{Control, Elementwise, Index, Linalg, Primitive, Reduce, ScatterKind, Window};
use crate::aval::Aval;

impl Primitive {
    /// How many floating-point operations it takes: additions, multiplications and other arithmetic on
    /// floating-point numbers, where a function such as `exp` counts as one. What moves, converts, compares or chooses
    /// numbers takes none, nor do sorting and random bits.
    ///
    /// Holes and padding that an implementation must look at all the same count in convolutions, except for
    /// the holes of transposed ones. Of the branches of a `cond` the most expensive counts, of a `while` one round.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, program::stage::stage};
    ///
    /// let (a, b) = (Tensor::zeros([3, 4]), Tensor::zeros([4, 5]));
    /// let staged = stage(&[a.aval().clone(), b.aval().clone()], |x| Ok(vec![x[0].matmul(&x[1]) + 1.0])).unwrap();
    /// assert_eq!(staged.program.flops(), 2 * 3 * 4 * 5 + 3 * 5);
    /// ```
    pub fn flops(&self, inputs: &[&Aval], outputs: &[Aval]) -> u64 {
        let size = |aval: &Aval| aval.shape.size() as u64;
        let Some(result) = outputs.first() else { return 0 };
        let float = result.dtype.is_float();
        match self {
            Primitive::Control(op) => control(op),
            _ if !float => 0,
            Primitive::Elementwise(op) => match op {
                Elementwise::Unary(_) | Elementwise::Binary(_) | Elementwise::IntegerPow(_) | Elementwise::Clamp => {
                    size(result)
                }
                Elementwise::Compare(_)
                | Elementwise::Select
                | Elementwise::Convert(_)
                | Elementwise::BitcastConvert(_) => 0,
            },
            Primitive::Reduce(Reduce::Reduce { .. } | Reduce::Cumulative { .. }) => {
                inputs.first().map_or(0, |x| size(x))
            }
            Primitive::Reduce(Reduce::Arg { .. }) => 0,
            Primitive::Window(op) => {
                let windows = match op {
                    Window::ReduceWindow { .. } => size(result),
                    Window::SelectAndScatterAdd { .. } => inputs.first().map_or(0, |source| size(source)),
                    Window::SelectAndGatherAdd { .. } => return 0,
                };
                let of_window = match op {
                    // One addition for each window.
                    Window::SelectAndScatterAdd { .. } => 1,
                    _ => op.window().size.iter().product::<usize>() as u64,
                };
                windows.saturating_mul(of_window)
            }
            Primitive::Dot(op) => {
                let contracted: usize = op.lhs_contracting.iter().map(|&axis| inputs[0].shape[axis]).product();
                size(result).saturating_mul(2 * contracted as u64)
            }
            Primitive::Conv(op) => {
                let kernel = &inputs[1].shape;
                let outputs = kernel[op.dims.rhs_output_feature].max(1);
                let holes: usize = op.lhs_dilation.iter().product();
                size(result).saturating_mul(2 * (kernel.size() / outputs) as u64) / holes.max(1) as u64
            }
            Primitive::Linalg(op) => linalg(op, inputs),
            Primitive::Index(Index::Scatter { kind, .. }) if *kind != ScatterKind::Set => {
                inputs.get(2).map_or(0, |updates| size(updates))
            }
            Primitive::Index(_) | Primitive::Shape(_) | Primitive::Sort(_) | Primitive::Random(_) => 0,
        }
    }
}

/// The leading terms of the usual algorithms' costs: Golub and Van Loan, "Matrix Computations".
fn linalg(op: &Linalg, inputs: &[&Aval]) -> u64 {
    let shape = &inputs[0].shape;
    let (batch, [m, n]) = (&shape[..shape.rank() - 2], [shape[shape.rank() - 2], shape[shape.rank() - 1]]);
    let matrices: usize = batch.iter().product();
    let (long, short) = (m.max(n) as f64, m.min(n) as f64);
    // Right-hand sides of each matrix; all have the same batch axes.
    let sides = inputs.get(1).map_or(0.0, |b| b.shape.size() as f64 / (matrices * n).max(1) as f64);
    let each = match op {
        Linalg::Cholesky => long.powi(3) / 3.0,
        Linalg::TriangularSolve { .. } => long.powi(2) * sides,
        Linalg::Solve { .. } => 2.0 / 3.0 * long.powi(3) + 2.0 * long.powi(2) * sides,
        Linalg::Lu => short.powi(2) * (long - short / 3.0),
        Linalg::Qr { .. } => 4.0 * short.powi(2) * (long - short / 3.0),
        Linalg::Eigh { .. } => 9.0 * long.powi(3),
        Linalg::Svd { compute_uv: false, .. } => 4.0 * long * short.powi(2) - 4.0 / 3.0 * short.powi(3),
        Linalg::Svd { compute_uv: true, .. } => 14.0 * long * short.powi(2) + 8.0 * short.powi(3),
    };
    (each * matrices as f64).round() as u64
}

fn control(op: &Control) -> u64 {
    match op {
        Control::Call { program, .. } | Control::Checkpoint { program } => program.flops(),
        Control::Cond { branches } => branches.iter().map(|branch| branch.flops()).max().unwrap_or(0),
        Control::While { cond, body, .. } => cond.flops().saturating_add(body.flops()),
        Control::Scan { body, length, .. } => body.flops().saturating_mul(*length as u64),
        Control::CustomJvp { body, .. } | Control::CustomVjp { body, .. } | Control::Composite { body, .. } => {
            body.flops()
        }
        Control::CustomLinear { .. } | Control::OptimizationBarrier | Control::StopGradient | Control::Debug(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::{ConvDims, ConvGeneralDilated};
    use crate::program::stage::stage;
    use crate::{DType, Tensor, lax};

    fn count(inputs: &[&Tensor], f: impl Fn(&[Tensor]) -> Tensor) -> u64 {
        let avals: Vec<_> = inputs.iter().map(|input| input.aval().clone()).collect();
        stage(&avals, |x| Ok(vec![f(x)])).unwrap().program.flops()
    }

    #[test]
    fn arithmetic_counts() {
        let (x, n) = (Tensor::zeros([2, 3]), Tensor::range(6));
        assert_eq!(count(&[&x], |x| x[0].exp() * 2.0), 12);
        assert_eq!(count(&[&x], |x| x[0].sum()), 6);
        assert_eq!(count(&[&x], |x| x[0].gt(0.0).select(&x[0], 0.0).astype(DType::F16).t()), 0);
        assert_eq!(count(&[&n], |n| &n[0] * 2 + 1), 0);
        assert_eq!(count(&[&x], |x| x[0].sort(-1)), 0);
        assert_eq!(count(&[&x], |x| x[0].at(1).add(1.0)), 3);
        let matrices = [&Tensor::zeros([5, 2, 3]), &Tensor::zeros([5, 3, 4])];
        assert_eq!(count(&matrices, |x| x[0].matmul(&x[1])), 2 * 5 * 2 * 3 * 4);
        assert_eq!(count(&[&x, &Tensor::zeros([3, 0])], |x| x[0].matmul(&x[1])), 0);
    }

    #[test]
    fn convolutions_count() {
        let dims = ConvDims::parse("NWC", "WIO", "NWC").unwrap();
        let conv = ConvGeneralDilated::new(dims.clone()).feature_groups(2);
        let run = |conv: &ConvGeneralDilated, x: &Tensor, k: &Tensor| {
            count(&[x, k], |x| lax::conv_general_dilated(&x[0], &x[1], conv).unwrap())
        };
        // 8 places, each of 6 outputs from 3 * 2 numbers.
        assert_eq!(run(&conv, &Tensor::zeros([2, 10, 4]), &Tensor::zeros([3, 2, 6])), 2 * 2 * 8 * 6 * 6);
        // A transposed one takes as much as the convolution whose derivative it is.
        let up = ConvGeneralDilated::new(dims).lhs_dilation([2]).padding([(1, 2)]);
        assert_eq!(run(&up, &Tensor::zeros([1, 5, 4]), &Tensor::zeros([3, 4, 6])), 2 * 5 * 3 * 4 * 6);
    }

    #[test]
    fn decompositions_count() {
        let square = Tensor::eye(6).broadcast_to([2, 6, 6]);
        let linear = |op: Linalg, inputs: &[&Tensor]| {
            let avals: Vec<_> = inputs.iter().map(|input| input.aval()).collect();
            let outputs = Primitive::Linalg(op).infer(&avals).unwrap();
            Primitive::Linalg(op).flops(&avals, &outputs)
        };
        assert_eq!(linear(Linalg::Cholesky, &[&square]), 2 * 72);
        assert_eq!(linear(Linalg::Lu, &[&square]), 2 * 144);
        let sides = Tensor::zeros([2, 6, 5]);
        let solve = Linalg::Solve { transpose_a: false };
        assert_eq!(linear(solve, &[&square, &sides]), 2 * (144 + 2 * 36 * 5));
        let solve = Linalg::TriangularSolve { left_side: true, lower: true, transpose_a: false, unit_diagonal: false };
        assert_eq!(linear(solve, &[&square, &sides]), 2 * 36 * 5);
        // Householder's: 2mn² - 2n³/3 for the triangle.
        let tall = Tensor::zeros([9, 3]);
        assert_eq!(linear(Linalg::Qr { full_matrices: false }, &[&tall]), 2 * (2 * 9 * 9 - 18));
        assert_eq!(linear(Linalg::Eigh { lower: true }, &[&square]), 2 * 9 * 216);
        let svd = |compute_uv| linear(Linalg::Svd { full_matrices: false, compute_uv }, &[&tall]);
        assert_eq!((svd(false), svd(true)), (4 * 81 - 36, 14 * 81 + 8 * 27));
        assert_eq!(linear(Linalg::Lu, &[&Tensor::zeros([0, 0])]), 0);
    }
}
