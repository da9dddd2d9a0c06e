//! How far results of operations may be from the CPU engine's.

use jaxnet_tensor::{DType, Tensor};

use crate::compare::{Elements, Outcome, elements, epsilon, floats};
use crate::rows::{Family, Numbers, Row};

/// What is allowed of an operation's results.
pub struct Tolerance {
    /// Units of the dtype's precision, relative to the expected element.
    pub units: f64,
    /// The size of elements below which they are compared as if they had this size.
    pub scale: f64,
    /// Whether zeros must have the same sign.
    pub signs: bool,
}

impl Tolerance {
    /// What is allowed of a row.
    pub fn of(row: &Row, values: &[Tensor]) -> Tolerance {
        let largest = values.iter().flat_map(floats).filter(|x| x.is_finite()).fold(1.0, |a: f64, x| a.max(x.abs()));
        if row.reassociates {
            // What is added up may cancel out.
            let products = if matches!(row.family, Family::Dot | Family::Conv) { 2 } else { 1 };
            return Tolerance { units: 4.0 * row.error, scale: largest.powi(products), signs: false };
        }
        let (units, scale) = match row.name {
            "exp" | "expm1" | "rsqrt" | "cbrt" | "logistic" => (4.0, 0.0),
            // MKL's, which libtorch calls, is not always the nearest number.
            "sqrt" => (1.0, 0.0),
            // What is rounded once is rounded correctly.
            _ if row.error <= 1.0 => (0.0, 0.0),
            _ => (4.0 * row.error, 1.0),
        };
        // Which of several zeros is the greatest depends on the order in which they are compared.
        let extremes = ["reduce_max", "reduce_min", "reduce_window_max", "reduce_window_min", "cummax", "cummin"];
        let signs = !extremes.contains(&row.name) && !["scatter_min", "scatter_max"].contains(&row.name);
        Tolerance { units, scale, signs }
    }

    /// Compares results with each of several answers that are right; elements may be from any of them.
    pub fn compare(&self, what: &str, got: &[Tensor], expected: &[Vec<Tensor>]) -> Outcome {
        let count = expected[0].len();
        if got.len() != count {
            return Err(format!("{what}: {} results rather than {count}", got.len()));
        }
        for (i, got) in got.iter().enumerate() {
            let answers: Vec<&Tensor> = expected.iter().map(|expected| &expected[i]).collect();
            if !got.aval().matches(answers[0].aval()) {
                return Err(format!("{what}: result {i} is {} rather than {}", got.aval(), answers[0].aval()));
            }
            if let Some(place) = self.first_difference(got, &answers) {
                let all = |x: &Tensor| match elements(x) {
                    Elements::Floats(x) => format!("{:?}", x[place]),
                    Elements::Integers(x) => x[place].to_string(),
                };
                return Err(format!(
                    "{what}: result {i} ({}) has {} rather than {} at place {place}\n   got {got}\nrather {}",
                    got.aval(),
                    all(got),
                    all(answers[0]),
                    answers[0]
                ));
            }
        }
        Ok(())
    }

    fn first_difference(&self, got: &Tensor, answers: &[&Tensor]) -> Option<usize> {
        let dtype = got.dtype();
        match elements(got) {
            Elements::Integers(got) => {
                let answers: Vec<Vec<i64>> = answers.iter().map(|answer| integers(answer)).collect();
                (0..got.len()).find(|&i| answers.iter().all(|answer| answer[i] != got[i]))
            }
            Elements::Floats(got) => {
                let answers: Vec<Vec<f64>> = answers.iter().map(|answer| floats(answer)).collect();
                (0..got.len()).find(|&i| !answers.iter().any(|answer| self.close(dtype, got[i], answer[i])))
            }
        }
    }

    /// Whether this is right of a float.
    pub fn close(&self, dtype: DType, got: f64, expected: f64) -> bool {
        let tiny = least_normal(dtype);
        if got == 0.0 && expected == 0.0 {
            return !self.signs || got.is_sign_negative() == expected.is_sign_negative();
        }
        if got == expected || (got.is_nan() && expected.is_nan()) {
            return true;
        }
        if !got.is_finite() || !expected.is_finite() {
            return false;
        }
        // Subnormal numbers may be flushed to zero.
        let distance = (got - expected).abs();
        distance <= self.units * epsilon(dtype) * expected.abs().max(self.scale) || distance <= tiny
    }
}

fn integers(x: &Tensor) -> Vec<i64> {
    match elements(x) {
        Elements::Integers(x) => x,
        Elements::Floats(_) => unreachable!("dtypes were compared"),
    }
}

fn least_normal(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2_f64.powi(-14),
        DType::BF16 | DType::F32 => 2_f64.powi(-126),
        _ => f64::MIN_POSITIVE,
    }
}

/// Values with zeros for subnormal numbers, as engines may see them.
pub fn flushed(values: &[Tensor]) -> Vec<Tensor> {
    let flush = |x: &Tensor| map(x, |v| if v.abs() < least_normal(x.dtype()) { 0.0_f64.copysign(v) } else { v });
    values.iter().map(flush).collect()
}

/// Values without finite ones that are huge or tiny.
pub fn tamed(x: &Tensor) -> Tensor {
    map(x, |v| if v.is_finite() && v != 0.0 && !(0.25..=4.0).contains(&v.abs()) { 1.25_f64.copysign(v) } else { v })
}

/// Values without NaN and infinities.
pub fn finite(x: &Tensor) -> Tensor {
    map(x, |v| if v.is_finite() { v } else { 1.5 })
}

/// Each float of a tensor as something else; integers as they are.
pub fn map(x: &Tensor, mut f: impl FnMut(f64) -> f64) -> Tensor {
    match elements(x) {
        Elements::Integers(_) => x.clone(),
        Elements::Floats(elements) => {
            let elements: Vec<f64> = elements.into_iter().map(&mut f).collect();
            Tensor::from_slice(&elements, x.shape()).expect("as many elements").astype(x.dtype())
        }
    }
}

#[test]
fn what_is_wrong_is_found() {
    let tolerance = Tolerance { units: 4.0, scale: 0.0, signs: true };
    let with = |x: f64| vec![Tensor::from_slice(&[1.0, x, 3.0], [3]).expect("three").astype(DType::F32)];
    let is_right = |got: f64, expected: f64| tolerance.compare("", &with(got), &[with(expected)]).is_ok();
    assert!(is_right(2.0, 2.0) && is_right(2.0 + 4e-7, 2.0) && is_right(f64::NAN, f64::NAN) && is_right(1e-40, 0.0));
    for (got, expected) in
        [(2.0 + 2e-6, 2.0), (0.0, -0.0), (f64::NAN, 1.0), (1.0, f64::NAN), (f64::INFINITY, 3e38), (1e-30, 0.0)]
    {
        assert!(!is_right(got, expected) && !is_right(expected, got), "{got} {expected}");
    }
    let integers = |x: i64| vec![Tensor::from_slice(&[x], [1]).expect("one")];
    assert!(tolerance.compare("", &integers(i64::MAX), &[integers(i64::MAX - 1)]).is_err());
    assert!(tolerance.compare("", &integers(5), &[integers(4), integers(5)]).is_ok());
    let mut numbers = Numbers::new(0);
    assert!(map(&with(0.0)[0], |_| numbers.unit()).to_vec::<f32>().iter().all(|x| (0.0..1.0).contains(x)));
}
