//! Random numbers equal those of `jax.random`: the vectors were made by `fixtures/make_random_vectors.py`.

use jaxnet_tensor::{DType, Key, Tensor};

const VECTORS: &str = include_str!("fixtures/random_vectors.txt");

/// How far a result may be from JAX's, in units in the last place.
fn tolerance(name: &str) -> i64 {
    match name {
        // A transcendental function follows.
        "normal" | "normal_f64" => 8,
        // Two of them: near 0 the error of `erf` at the ends shows.
        "truncated_normal" => 32,
        "gumbel" | "exponential" => 8,
        _ => 0,
    }
}

fn draw(name: &str, seed: u64) -> Tensor {
    let key = Key::new(seed);
    match name {
        "key" => key.into_words(),
        "split2" => key.split_batch(2).into_words(),
        "split5" => key.split_batch(5).into_words(),
        "fold_in_7" => key.fold_in(7).into_words(),
        "bits" => key.bits([3, 4], DType::U32),
        "bits_u8" => key.bits([5], DType::U8),
        "uniform" => key.uniform([7]),
        "uniform_f64" => key.uniform_range([5], 0.0, 1.0, DType::F64),
        "uniform_f16" => key.uniform_range([5], 0.0, 1.0, DType::F16),
        "uniform_bf16" => key.uniform_range([5], 0.0, 1.0, DType::BF16),
        "uniform_range" => key.uniform_range([2, 3], -3.0, 5.0, DType::F32),
        "bernoulli" => key.bernoulli(0.3, [9]),
        "randint" => key.randint([8], -5, 1000),
        "randint_wide" => key.randint([4], i32::MIN, i32::MAX),
        "permutation" => key.permutation(&Tensor::range(11), 0),
        "permutation_rows" => key.permutation(&Tensor::range(12).reshape([4_usize, 3]), 0),
        "normal" => key.normal([6]),
        "normal_f64" => key.normal_dtype([4], DType::F64),
        "truncated_normal" => key.truncated_normal(-2.0, 2.0, [5]),
        "gumbel" => key.gumbel([5]),
        "exponential" => key.exponential([5]),
        "categorical" => {
            let p = Tensor::from([[0.1_f32, 0.2, 0.7], [0.5, 0.25, 0.25]]);
            key.categorical(&p.log(), -1)
        }
        other => panic!("unknown vector {other}"),
    }
}

/// The elements as integers whose differences are units in the last place.
fn ordered(x: &Tensor) -> Vec<i64> {
    let flip = |bits: i64, width: u32| if bits >> (width - 1) & 1 == 1 { (1_i64 << (width - 1)) - bits } else { bits };
    match x.dtype() {
        DType::F32 => x.to_vec::<f32>().iter().map(|x| flip(x.to_bits() as i64, 32)).collect(),
        DType::F64 => x
            .to_vec::<f64>()
            .iter()
            .map(|x| {
                let bits = x.to_bits() as i64;
                if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits }
            })
            .collect(),
        DType::F16 => x.to_vec::<half::f16>().iter().map(|x| flip(x.to_bits() as i64, 16)).collect(),
        DType::BF16 => x.to_vec::<half::bf16>().iter().map(|x| flip(x.to_bits() as i64, 16)).collect(),
        _ => x.astype(DType::I64).to_vec::<i64>(),
    }
}

fn expected(dtype: DType, text: &str) -> Vec<i64> {
    let hex = |word: &str| u64::from_str_radix(word, 16).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let tensor = match dtype {
        DType::F32 => Tensor::from(words.iter().map(|w| f32::from_bits(hex(w) as u32)).collect::<Vec<_>>()),
        DType::F64 => Tensor::from(words.iter().map(|w| f64::from_bits(hex(w))).collect::<Vec<_>>()),
        DType::F16 => Tensor::from(words.iter().map(|w| half::f16::from_bits(hex(w) as u16)).collect::<Vec<_>>()),
        DType::BF16 => Tensor::from(words.iter().map(|w| half::bf16::from_bits(hex(w) as u16)).collect::<Vec<_>>()),
        _ => return words.iter().map(|word| word.parse().unwrap()).collect(),
    };
    ordered(&tensor)
}

#[test]
fn equal_to_jax() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let (head, values) = line.split_once(": ").unwrap();
        let [name, seed, shape] = head.split(' ').collect::<Vec<_>>()[..] else { panic!("{head}") };
        let x = draw(name, seed.parse().unwrap());
        assert_eq!(x.shape().to_string().replace(' ', ""), shape, "{head}");
        let (ours, jax) = (ordered(&x), expected(x.dtype(), values));
        let distance = ours.iter().zip(&jax).map(|(a, b)| (a - b).abs()).max().unwrap_or(0);
        if distance > tolerance(name) {
            wrong.push(format!("{name} of seed {seed}: {distance} ulp: {ours:?} instead of {jax:?}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 100);
}
