//! Comparing tensors, with messages that say where they differ.

use jaxnet_tensor::{DType, Tensor};

/// What went wrong, if something did.
pub type Outcome = Result<(), String>;

/// Elements in a form that holds every dtype's exactly.
#[derive(Clone, Debug)]
pub enum Elements {
    Floats(Vec<f64>),
    Integers(Vec<i64>),
}

pub fn elements(x: &Tensor) -> Elements {
    match x.dtype() {
        DType::F64 => Elements::Floats(x.to_vec()),
        DType::I64 => Elements::Integers(x.to_vec()),
        dtype if dtype.is_float() => Elements::Floats(x.astype(DType::F64).to_vec()),
        _ => Elements::Integers(x.astype(DType::I64).to_vec()),
    }
}

pub fn floats(x: &Tensor) -> Vec<f64> {
    match elements(x) {
        Elements::Floats(elements) => elements,
        Elements::Integers(elements) => elements.into_iter().map(|x| x as f64).collect(),
    }
}

/// The relative distance of neighbouring numbers at 1.
pub fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F32 => f64::from(f32::EPSILON),
        DType::F16 => 2_f64.powi(-10),
        DType::BF16 => 2_f64.powi(-7),
        _ => 0.0,
    }
}

/// Equal shapes, dtypes and bits, but any NaN equals any other.
pub fn same(what: &str, got: &[Tensor], expected: &[Tensor]) -> Outcome {
    compare(what, got, expected, |a, b| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

/// Equal shapes and dtypes; integers are equal; floats differ by at most so many units of the dtype's
/// precision, relative to the expected element or, where that is less than `scale`, to `scale`.
pub fn close(what: &str, got: &[Tensor], expected: &[Tensor], units: f64, scale: f64) -> Outcome {
    let precision = |x: &Tensor| epsilon(x.dtype());
    let tolerance = got.iter().chain(expected).map(precision).fold(0.0, f64::max) * units;
    compare(what, got, expected, |a, b| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(scale)
    })
}

fn compare(what: &str, got: &[Tensor], expected: &[Tensor], equal: impl Fn(f64, f64) -> bool) -> Outcome {
    if got.len() != expected.len() {
        return Err(format!("{what}: {} results rather than {}", got.len(), expected.len()));
    }
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        if !got.aval().matches(expected.aval()) {
            return Err(format!("{what}: result {i} is {} rather than {}", got.aval(), expected.aval()));
        }
        let differ = match (elements(got), elements(expected)) {
            (Elements::Integers(a), Elements::Integers(b)) => first(&a, &b, |a, b| a == b),
            _ => first(&floats(got), &floats(expected), |a, b| equal(*a, *b)),
        };
        if let Some(differ) = differ {
            return Err(format!("{what}: result {i} ({}) {differ}\n   got {got}\nrather {expected}", got.aval()));
        }
    }
    Ok(())
}

fn first<T: std::fmt::Debug>(got: &[T], expected: &[T], equal: impl Fn(&T, &T) -> bool) -> Option<String> {
    let place = got.iter().zip(expected).position(|(a, b)| !equal(a, b))?;
    Some(format!("has {:?} rather than {:?} at place {place}", got[place], expected[place]))
}
