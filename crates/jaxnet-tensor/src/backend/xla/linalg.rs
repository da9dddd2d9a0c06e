//! Decompositions of matrices and systems of equations: XLA's own instructions where it has some for every
//! device, otherwise programs of other primitives. (Its CPU compiler would also expand the custom calls `Qr` and
//! `Eigh`, to loops of the same kind as these.)

use super::hlo::{Builder, Value};
use super::lower::inline;
use crate::aval::Aval;
use crate::backend::portable;
use crate::dtype::DType;
use crate::error::Result;
use crate::primitive::Linalg;

pub(super) fn lower(b: &mut Builder<'_>, op: &Linalg, inputs: &[Value], outputs: &[Aval]) -> Result<Vec<Value>> {
    match *op {
        Linalg::Cholesky if inputs[0].shape.size() > 0 => {
            let (x, rank) = (&inputs[0], inputs[0].rank());
            let l = b.op("cholesky", x.dtype, &x.shape, &[x], "lower=true");
            // Where the matrix is not positive definite there is NaN above the diagonal, too.
            let (row, column) = (b.iota(DType::I32, &x.shape, rank - 2), b.iota(DType::I32, &x.shape, rank - 1));
            let below = b.compare("GE", &row, &column);
            Ok(vec![b.select_or_number(&below, &l, 0.0)])
        }
        Linalg::TriangularSolve { left_side, lower, transpose_a, unit_diagonal }
            if inputs.iter().all(|input| input.shape.size() > 0) =>
        {
            let transpose = if transpose_a { "TRANSPOSE" } else { "NO_TRANSPOSE" };
            let attributes =
                format!("left_side={left_side}, lower={lower}, unit_diagonal={unit_diagonal}, transpose_a={transpose}");
            let operands: Vec<&Value> = inputs.iter().collect();
            Ok(vec![b.op("triangular-solve", outputs[0].dtype, &outputs[0].shape, &operands, &attributes)])
        }
        _ => {
            let avals: Vec<Aval> = inputs.iter().map(|input| Aval::new(input.dtype, &input.shape)).collect();
            let program = portable::linalg(op, &avals.iter().collect::<Vec<_>>())?;
            inline(b, &program, inputs)
        }
    }
}
