//! Which row covers which primitive: a new primitive does not compile before it has one.

use std::collections::BTreeSet;

use jaxnet_tensor::Primitive;
use jaxnet_tensor::primitive::{
    ArgKind, BinaryOp, CompareOp, Control, CumulativeKind, DebugAction, Elementwise, Index, Linalg, Random, Reduce,
    ReduceKind, ScatterKind, ShapeOp, Sort, UnaryOp, Window, WindowKind,
};

use super::{Family, cases, rows};

/// A match without a wildcard, and the names that occur in it.
macro_rules! covered {
    ($($pattern:pat => $row:literal,)*) => {
        /// The name of the row that covers a primitive.
        fn row_of(primitive: &Primitive) -> &'static str {
            match primitive {
                $($pattern => $row,)*
            }
        }

        const NAMES: &[&str] = &[$($row),*];
    };
}

covered! {
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Abs)) => "abs",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Neg)) => "neg",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Sign)) => "sign",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Floor)) => "floor",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Ceil)) => "ceil",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::RoundHalfEven)) => "round_half_even",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::RoundHalfAway)) => "round_half_away",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Exp)) => "exp",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Expm1)) => "expm1",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Log)) => "log",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Log1p)) => "log1p",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Sqrt)) => "sqrt",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Rsqrt)) => "rsqrt",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Cbrt)) => "cbrt",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Sin)) => "sin",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Cos)) => "cos",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Tan)) => "tan",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Asin)) => "asin",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Acos)) => "acos",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Atan)) => "atan",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Sinh)) => "sinh",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Cosh)) => "cosh",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Tanh)) => "tanh",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Asinh)) => "asinh",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Acosh)) => "acosh",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Atanh)) => "atanh",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Logistic)) => "logistic",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Erf)) => "erf",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Erfc)) => "erfc",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::ErfInv)) => "erf_inv",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Lgamma)) => "lgamma",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Digamma)) => "digamma",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::Not)) => "not",
    Primitive::Elementwise(Elementwise::Unary(UnaryOp::IsFinite)) => "is_finite",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Add)) => "add",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Sub)) => "sub",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Mul)) => "mul",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Div)) => "div",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Rem)) => "rem",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Pow)) => "pow",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Max)) => "max",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Min)) => "min",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Atan2)) => "atan2",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::And)) => "and",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Or)) => "or",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Xor)) => "xor",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::ShiftLeft)) => "shift_left",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::ShiftRightLogical)) => "shift_right_logical",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::ShiftRightArithmetic)) => "shift_right_arithmetic",
    Primitive::Elementwise(Elementwise::Binary(BinaryOp::Polygamma)) => "polygamma",
    Primitive::Elementwise(Elementwise::Compare(CompareOp::Eq)) => "eq",
    Primitive::Elementwise(Elementwise::Compare(CompareOp::Ne)) => "ne",
    Primitive::Elementwise(Elementwise::Compare(CompareOp::Lt)) => "lt",
    Primitive::Elementwise(Elementwise::Compare(CompareOp::Le)) => "le",
    Primitive::Elementwise(Elementwise::Compare(CompareOp::Gt)) => "gt",
    Primitive::Elementwise(Elementwise::Compare(CompareOp::Ge)) => "ge",
    Primitive::Elementwise(Elementwise::IntegerPow(_)) => "integer_pow",
    Primitive::Elementwise(Elementwise::Select) => "select",
    Primitive::Elementwise(Elementwise::Clamp) => "clamp",
    Primitive::Elementwise(Elementwise::Convert(_)) => "convert",
    Primitive::Elementwise(Elementwise::BitcastConvert(_)) => "bitcast_convert",
    Primitive::Shape(ShapeOp::BroadcastInDim { .. }) => "broadcast_in_dim",
    Primitive::Shape(ShapeOp::Reshape { .. }) => "reshape",
    Primitive::Shape(ShapeOp::Transpose { .. }) => "transpose",
    Primitive::Shape(ShapeOp::Reverse { .. }) => "reverse",
    Primitive::Shape(ShapeOp::Slice { .. }) => "slice",
    Primitive::Shape(ShapeOp::Pad { .. }) => "pad",
    Primitive::Shape(ShapeOp::Concatenate { .. }) => "concatenate",
    Primitive::Shape(ShapeOp::Iota { .. }) => "iota",
    Primitive::Reduce(Reduce::Reduce { kind: ReduceKind::Sum, .. }) => "reduce_sum",
    Primitive::Reduce(Reduce::Reduce { kind: ReduceKind::Prod, .. }) => "reduce_prod",
    Primitive::Reduce(Reduce::Reduce { kind: ReduceKind::Max, .. }) => "reduce_max",
    Primitive::Reduce(Reduce::Reduce { kind: ReduceKind::Min, .. }) => "reduce_min",
    Primitive::Reduce(Reduce::Reduce { kind: ReduceKind::And, .. }) => "reduce_and",
    Primitive::Reduce(Reduce::Reduce { kind: ReduceKind::Or, .. }) => "reduce_or",
    Primitive::Reduce(Reduce::Arg { kind: ArgKind::Max, .. }) => "argmax",
    Primitive::Reduce(Reduce::Arg { kind: ArgKind::Min, .. }) => "argmin",
    Primitive::Reduce(Reduce::Cumulative { kind: CumulativeKind::Sum, .. }) => "cumsum",
    Primitive::Reduce(Reduce::Cumulative { kind: CumulativeKind::Prod, .. }) => "cumprod",
    Primitive::Reduce(Reduce::Cumulative { kind: CumulativeKind::Max, .. }) => "cummax",
    Primitive::Reduce(Reduce::Cumulative { kind: CumulativeKind::Min, .. }) => "cummin",
    Primitive::Reduce(Reduce::Cumulative { kind: CumulativeKind::LogSumExp, .. }) => "cumlogsumexp",
    Primitive::Window(Window::ReduceWindow { kind: WindowKind::Sum, .. }) => "reduce_window_sum",
    Primitive::Window(Window::ReduceWindow { kind: WindowKind::Max, .. }) => "reduce_window_max",
    Primitive::Window(Window::ReduceWindow { kind: WindowKind::Min, .. }) => "reduce_window_min",
    Primitive::Window(Window::SelectAndScatterAdd { .. }) => "select_and_scatter_add",
    Primitive::Window(Window::SelectAndGatherAdd { .. }) => "select_and_gather_add",
    Primitive::Dot(_) => "dot_general",
    Primitive::Conv(_) => "conv_general_dilated",
    Primitive::Index(Index::Gather { .. }) => "gather",
    Primitive::Index(Index::Scatter { kind: ScatterKind::Set, .. }) => "scatter",
    Primitive::Index(Index::Scatter { kind: ScatterKind::Add, .. }) => "scatter_add",
    Primitive::Index(Index::Scatter { kind: ScatterKind::Mul, .. }) => "scatter_mul",
    Primitive::Index(Index::Scatter { kind: ScatterKind::Min, .. }) => "scatter_min",
    Primitive::Index(Index::Scatter { kind: ScatterKind::Max, .. }) => "scatter_max",
    Primitive::Index(Index::DynamicSlice { .. }) => "dynamic_slice",
    Primitive::Index(Index::DynamicUpdateSlice) => "dynamic_update_slice",
    Primitive::Sort(Sort::Sort { .. }) => "sort",
    Primitive::Sort(Sort::TopK { .. }) => "top_k",
    Primitive::Linalg(Linalg::Cholesky) => "cholesky",
    Primitive::Linalg(Linalg::TriangularSolve { .. }) => "triangular_solve",
    Primitive::Linalg(Linalg::Solve { .. }) => "linear_solve",
    Primitive::Linalg(Linalg::Lu) => "lu",
    Primitive::Linalg(Linalg::Qr { .. }) => "qr",
    Primitive::Linalg(Linalg::Eigh { .. }) => "eigh",
    Primitive::Linalg(Linalg::Svd { .. }) => "svd",
    Primitive::Random(Random::Threefry2x32) => "threefry2x32",
    Primitive::Control(Control::Call { .. }) => "call",
    Primitive::Control(Control::Checkpoint { .. }) => "checkpoint",
    Primitive::Control(Control::Cond { .. }) => "cond",
    Primitive::Control(Control::While { .. }) => "while",
    Primitive::Control(Control::Scan { .. }) => "scan",
    Primitive::Control(Control::CustomJvp { .. }) => "custom_jvp",
    Primitive::Control(Control::CustomVjp { .. }) => "custom_vjp",
    // It only exists within the derivative of `custom_vjp`: it cannot be run.
    Primitive::Control(Control::CustomLinear { .. }) => "custom_vjp",
    Primitive::Control(Control::Composite { .. }) => "composite",
    Primitive::Control(Control::OptimizationBarrier) => "optimization_barrier",
    Primitive::Control(Control::StopGradient) => "stop_gradient",
    Primitive::Control(Control::Debug(DebugAction::Print(_))) => "debug_print",
    Primitive::Control(Control::Debug(DebugAction::CheckNan(_))) => "check_nan",
}

#[test]
fn every_primitive_has_a_row_and_every_row_is_used() {
    let named: BTreeSet<&str> = NAMES.iter().copied().collect();
    let there: BTreeSet<&str> = rows().iter().map(|row| row.name).collect();
    assert_eq!(there.len(), rows().len(), "no two rows have one name");
    assert_eq!(named, there);
}

#[test]
fn rows_draw_the_primitives_that_they_say_they_cover() {
    for row in rows() {
        assert!(!row.dtypes.is_empty(), "{}", row.name);
        for &dtype in &row.dtypes {
            for case in cases(row, dtype, 0, 3) {
                assert_eq!(row_of(&case.primitive), row.name, "{case:?}");
                assert_eq!(case.primitive.name(), row.name, "rows are named after their primitive");
                assert!(case.infer().is_ok(), "{case:?}");
            }
        }
    }
}

#[test]
fn rows_draw_shapes_of_every_kind() {
    // Without ranks of 0, empty axes and axes of size 1 the checks would not say much.
    for row in rows() {
        let mut kinds = [false; 3];
        for case in cases(row, row.dtypes[0], 1, 150) {
            let results = case.infer().unwrap();
            for aval in case.operands.iter().map(|operand| &operand.aval).chain(&results) {
                kinds[0] |= aval.rank() == 0;
                kinds[1] |= aval.size() == 0;
                kinds[2] |= aval.shape.contains(&1);
            }
        }
        // A sort, say, has no operand of rank 0.
        let [scalars, empty, ones] = kinds;
        let of_rank_1 =
            ["iota", "concatenate", "sort", "top_k", "cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"];
        let no_scalars = row.family == Family::Linalg || of_rank_1.contains(&row.name) || row.name.starts_with("conv");
        assert!(scalars || no_scalars, "{} of scalars", row.name);
        assert!(empty && ones, "{} of empty axes: {empty}, of axes of size 1: {ones}", row.name);
    }
}
