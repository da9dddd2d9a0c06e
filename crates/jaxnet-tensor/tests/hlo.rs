//! The HLO text of the families of operations, as the files in `hlo/` have it.
//!
//! With `UPDATE_HLO=1` the files are written anew, to be read before they are committed.

#![cfg(feature = "xla")]

use std::path::Path;

use jaxnet_tensor::backend::xla::XlaBackend;
use jaxnet_tensor::primitive::{
    BinaryOp, CompareOp, ConvDims, ConvGeneralDilated, GatherDims, ScatterDims, ScatterKind, SelectKind, UnaryOp,
    WindowDims, WindowKind,
};
use jaxnet_tensor::program::stage::stage;
use jaxnet_tensor::{Aval, DType, Result, Tensor, lax};

/// Compares the module of a function with the file of this name.
#[track_caller]
fn check(name: &str, avals: &[Aval], f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>) {
    let staged = stage(avals, f).unwrap();
    assert!(staged.captured.is_empty());
    let found = XlaBackend::hlo_text(&staged.program, &[]).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hlo").join(name).with_extension("hlo");
    if std::env::var_os("UPDATE_HLO").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} differs; UPDATE_HLO=1 writes it anew. It is now\n{found}", path.display());
}

fn f32s(shape: &[usize]) -> Aval {
    Aval::new(DType::F32, shape)
}

#[test]
fn elementwise() {
    check("elementwise", &[f32s(&[2, 3]), f32s(&[2, 3])], |x| {
        let (a, b) = (&x[0], &x[1]);
        let larger = lax::compare(CompareOp::Gt, a, b)?;
        Ok(vec![
            lax::unary(UnaryOp::Exp, a)?,
            lax::unary(UnaryOp::Erf, a)?,
            lax::binary(BinaryOp::Pow, a, b)?,
            lax::integer_pow(a, 3)?,
            lax::select(&larger, a, b)?,
            lax::convert(a, DType::I32)?,
        ])
    });
}

#[test]
fn shape() {
    check("shape", &[f32s(&[2, 3]), f32s(&[])], |x| {
        let a = &x[0];
        Ok(vec![
            lax::broadcast_in_dim(a, [2, 4, 3], &[0, 2])?,
            lax::transpose(a, &[1, 0])?,
            lax::reverse(a, &[1])?,
            lax::slice(a, &[0, 1], &[2, 3], &[1, 2])?,
            lax::pad(a, &x[1], &[1, 0], &[0, -1], &[0, 2])?,
            lax::concatenate(&[a.clone(), a.clone()], 0)?,
        ])
    });
}

#[test]
fn window() {
    check("window", &[f32s(&[1, 4, 4, 2]), f32s(&[1, 2, 2, 2])], |x| {
        let mut window = WindowDims { strides: [1, 2, 2, 1][..].into(), ..WindowDims::new([1, 2, 2, 1]) };
        let max = lax::reduce_window(WindowKind::Max, &x[0], &window)?;
        let back = lax::select_and_scatter_add(SelectKind::Max, &x[1], &x[0], &window)?;
        window.padding[1] = (1, 1);
        Ok(vec![max, back, lax::reduce_window(WindowKind::Sum, &x[0], &window)?])
    });
}

#[test]
fn conv() {
    check("conv", &[f32s(&[2, 5, 5, 4]), f32s(&[3, 3, 2, 6])], |x| {
        let parameters = ConvGeneralDilated {
            strides: [2, 1][..].into(),
            padding: vec![(1, 1), (0, 2)],
            rhs_dilation: [1, 2][..].into(),
            feature_groups: 2,
            ..ConvGeneralDilated::new(ConvDims::parse("NHWC", "HWIO", "NHWC")?)
        };
        Ok(vec![lax::conv_general_dilated(&x[0], &x[1], &parameters)?])
    });
}

#[test]
fn dot() {
    check("dot", &[f32s(&[2, 3, 4]), f32s(&[2, 4, 5])], |x| {
        Ok(vec![lax::dot_general(&x[0], &x[1], (&[2], &[1]), (&[0], &[0]))?])
    });
}

#[test]
fn index() {
    let indices = Aval::new(DType::I32, [2, 1]);
    check("index", &[f32s(&[4, 3]), indices, f32s(&[2, 3]), Aval::scalar(DType::I32)], |x| {
        let gather = GatherDims {
            offset_dims: [1][..].into(),
            collapsed_slice_dims: [0][..].into(),
            start_index_map: [0][..].into(),
            ..GatherDims::default()
        };
        let scatter = ScatterDims {
            update_window_dims: [1][..].into(),
            inserted_window_dims: [0][..].into(),
            scatter_dims_to_operand_dims: [0][..].into(),
            ..ScatterDims::default()
        };
        let starts = [x[3].clone(), x[3].clone()];
        Ok(vec![
            lax::gather(&x[0], &x[1], &gather, &[1, 3])?,
            lax::scatter(ScatterKind::Add, &x[0], &x[1], &x[2], &scatter)?,
            lax::dynamic_slice(&x[0], &starts, [2, 2])?,
            lax::dynamic_update_slice(&x[0], &x[2], &starts)?,
        ])
    });
}

#[test]
fn sort() {
    check("sort", &[f32s(&[2, 3]), Aval::new(DType::I32, [2, 3])], |x| lax::sort(x, 1, 1, false));
}

#[test]
fn linalg() {
    check("linalg", &[f32s(&[3, 3])], |x| Ok(vec![lax::cholesky(&x[0])?]));
}

#[test]
fn random() {
    let word = Aval::new(DType::U32, [4]);
    check("random", &[Aval::scalar(DType::U32), Aval::scalar(DType::U32), word.clone(), word], |x| {
        let (a, b) = lax::threefry2x32((&x[0], &x[1]), (&x[2], &x[3]))?;
        Ok(vec![a, b])
    });
}
