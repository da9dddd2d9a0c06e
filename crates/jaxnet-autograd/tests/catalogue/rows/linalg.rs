//! Decompositions of matrices, and systems of equations.

use jaxnet_tensor::DType;
use jaxnet_tensor::primitive::Linalg;

use super::domain::Domain;
use super::{Case, Family, Operand, Row, Source};

pub fn rows() -> Vec<Row> {
    let row = |name, draw: fn(&mut Source<'_>, DType) -> Option<Case>| {
        Row::new(name, Family::Linalg, [DType::F64, DType::F32], draw).reassociates().error(96.0)
    };
    vec![
        row("cholesky", |source, dtype| {
            let [batch, n, _] = sizes(source);
            Some(Case::new(Linalg::Cholesky, [matrices(dtype, &batch, [n[0], n[0]], true, false)]))
        }),
        row("triangular_solve", |source, dtype| {
            let [batch, n, k] = sizes(source);
            let (left_side, lower, transpose_a, unit_diagonal) =
                (source.coin(), source.coin(), source.coin(), source.coin());
            let op = Linalg::TriangularSolve { left_side, lower, transpose_a, unit_diagonal };
            let right = if left_side { [n[0], k[0]] } else { [k[0], n[0]] };
            let a = matrices(dtype, &batch, [n[0], n[0]], true, false);
            Some(Case::new(op, [a, right_sides(dtype, &batch, right)]).linear_in(&[1]))
        }),
        row("linear_solve", |source, dtype| {
            let [batch, n, k] = sizes(source);
            let op = Linalg::Solve { transpose_a: source.coin() };
            let a = matrices(dtype, &batch, [n[0], n[0]], false, true);
            Some(Case::new(op, [a, right_sides(dtype, &batch, [n[0], k[0]])]).linear_in(&[1]))
        }),
        row("lu", |source, dtype| {
            let [batch, m, n] = sizes(source);
            Some(Case::new(Linalg::Lu, [matrices(dtype, &batch, [m[0], n[0]], false, true)]))
        }),
        row("qr", |source, dtype| {
            let [batch, m, n] = sizes(source);
            let full_matrices = source.coin();
            let a = matrices(dtype, &batch, [m[0], n[0]], false, true);
            // Additional columns may be any that are orthogonal to the others.
            let any = full_matrices && m[0] > n[0];
            Some(Case::new(Linalg::Qr { full_matrices }, [if any { a.constant() } else { a }]))
        }),
        row("eigh", |source, dtype| {
            let [batch, n, _] = sizes(source);
            let op = Linalg::Eigh { lower: source.coin() };
            Some(Case::new(op, [matrices(dtype, &batch, [n[0], n[0]], false, false)]))
        }),
        row("svd", |source, dtype| {
            let [batch, m, n] = sizes(source);
            let (compute_uv, full_matrices) = (!source.once_in(4), source.once_in(3));
            let a = matrices(dtype, &batch, [m[0], n[0]], false, true);
            let any = full_matrices && compute_uv && m[0] != n[0];
            Some(Case::new(Linalg::Svd { full_matrices, compute_uv }, [if any { a.constant() } else { a }]))
        }),
    ]
}

/// Batch axes, and two sizes.
fn sizes(source: &mut Source<'_>) -> [Vec<usize>; 3] {
    let batch = match source.below(6) {
        0..3 => vec![],
        3 => vec![2],
        4 => vec![2, 1],
        _ => vec![source.axis().min(2)],
    };
    let mut size = || vec![source.pick(&[2, 2, 3, 3, 1, 4, 5, 0])];
    [batch, size(), size()]
}

fn shape(batch: &[usize], matrix: [usize; 2]) -> Vec<usize> {
    batch.iter().chain(&matrix).copied().collect()
}

fn matrices(dtype: DType, batch: &[usize], matrix: [usize; 2], definite: bool, shuffled: bool) -> Operand {
    Operand::new(dtype, shape(batch, matrix), Domain::Matrices { definite, shuffled }).fixed()
}

fn right_sides(dtype: DType, batch: &[usize], matrix: [usize; 2]) -> Operand {
    Operand::new(dtype, shape(batch, matrix), Domain::Range(-2.0, 2.0)).fixed()
}
