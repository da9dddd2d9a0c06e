//! Attention, and what says where in a sequence something is.

use jaxnet_tensor::{DType, Error, OrRaise, Result, Shape, Tensor, promote_types, raise};

/// Attention (Vaswani et al. 2017): for each query, the mean of values weighted by the softmax of
/// `query · key / sqrt(features)`, for each head by itself.
///
/// Shapes are those of `jax.nn.dot_product_attention`: queries [batch.., queries, heads, features], keys and values
/// [batch.., keys, heads, features], where values may have other features. Keys and values may have fewer heads,
/// each of which then serves as many neighbouring heads of the queries (Ainslie et al. 2023, grouped-query attention).
///
/// The mask broadcasts against [batch.., heads, queries, keys]: booleans say what is attended to; numbers are added
/// to the logits. A query that attends to nothing gives zeros. Logits and their softmax are computed in f32 at least.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let x = Key::new(0).normal([2, 5, 4, 8]);
/// let y = dot_product_attention(&x, &x, &x, Some(&causal_mask(5, 5)));
/// assert_eq!(y.shape().dims(), [2, 5, 4, 8]);
/// // The first sees nothing but itself.
/// assert!(y.i((.., 0)).allclose(x.i((.., 0)), 1e-6, 1e-6));
/// ```
///
/// # Panics
///
/// If shapes do not fit.
#[track_caller]
pub fn dot_product_attention(query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>) -> Tensor {
    attention_with(query, key, value, mask, |weights| weights).or_raise()
}

/// Attention with weights that go through `f`, as dropout.
#[track_caller]
pub(crate) fn attention_with(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: Option<&Tensor>,
    f: impl FnOnce(Tensor) -> Tensor,
) -> Result<Tensor> {
    let groups = check(query, key, value)?;
    let rank = query.rank();
    let (features, [keys, heads]) = (query.dim(-1), [-3, -2].map(|axis| key.dim(axis)));
    let batch = &query.shape()[..rank - 3];
    let queries = query.dim(-3);
    let shape = |sizes: &[usize]| Shape::from([batch, sizes].concat());
    let weights_shape = shape(&[heads * groups, queries, keys]);

    // Heads become a batch axis; those that share keys and values are rows of one product.
    let query = (query * (1.0 / (features.max(1) as f64).sqrt())).swap_axes(-3, -2);
    let query = query.reshape(shape(&[heads, groups * queries, features]).dims());
    let logits = query.matmul(key.swap_axes(-3, -2).mt());
    let logits = logits.astype(if logits.dtype() == DType::F64 { DType::F64 } else { DType::F32 });
    let mut logits = logits.reshape(weights_shape.dims());
    if let Some(mask) = mask {
        if mask.shape().broadcast(&weights_shape).as_ref() != Some(&weights_shape) {
            return Err(Error::invalid(
                "attention",
                format!(
                    "a mask of {} does not broadcast against [batch.., heads, queries, keys], here {weights_shape}",
                    mask.aval()
                ),
            ));
        }
        logits = if mask.dtype() == DType::Bool {
            mask.select(&logits, f64::NEG_INFINITY)
        } else {
            &logits + mask.astype(logits.dtype())
        };
    }
    let weights = if keys == 0 { logits } else { softmax_of_some(&logits) };
    let dtype = promote_types((query.dtype(), false), (value.dtype(), false)).0;
    let weights = f(weights).astype(dtype);
    let value = value.astype(dtype).swap_axes(-3, -2);
    let y = weights.reshape(shape(&[heads, groups * queries, keys]).dims()).matmul(&value);
    Ok(y.reshape(shape(&[heads * groups, queries, value.dim(-1)]).dims()).swap_axes(-3, -2))
}

/// The softmax along the last axis, which is 0 where all is -inf.
#[track_caller]
fn softmax_of_some(logits: &Tensor) -> Tensor {
    let lowest = f64::from(f32::MIN);
    let greatest = logits.max_keepdims(-1).maximum(lowest).stop_gradient();
    let exp = (logits - greatest).exp();
    // The sum is 1 at least, where there is anything.
    &exp / exp.sum_keepdims(-1).maximum(f64::from(f32::MIN_POSITIVE))
}

/// How many heads of the queries share one of the keys.
fn check(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<usize> {
    let fail = |why: &str| {
        Err(Error::invalid(
            "attention",
            format!(
                "{why}: queries must be of shape [batch.., queries, heads, features], keys and values \
                 [batch.., keys, heads, features], got {}, {} and {}",
                query.shape(),
                key.shape(),
                value.shape()
            ),
        ))
    };
    let rank = query.rank();
    if rank < 3 || key.rank() != rank || value.rank() != rank {
        return fail("ranks do not fit");
    }
    if query.shape()[..rank - 3] != key.shape()[..rank - 3] || key.shape()[..rank - 1] != value.shape()[..rank - 1] {
        return fail("axes differ");
    }
    if query.dim(-1) != key.dim(-1) {
        return fail("queries and keys differ in features");
    }
    let (heads, shared) = (query.dim(-2), key.dim(-2));
    if shared == 0 || !heads.is_multiple_of(shared) {
        return fail("the heads of the queries must be a multiple of those of the keys");
    }
    Ok(heads / shared)
}

/// A mask by which each query attends to keys until its own place: booleans of shape [queries, keys]. With more keys
/// than queries, the last query is that of the last key.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(causal_mask(2, 2).to_vec::<bool>(), [true, false, true, true]);
/// assert_eq!(causal_mask(1, 3).to_vec::<bool>(), [true; 3]);
/// ```
#[track_caller]
pub fn causal_mask(queries: usize, keys: usize) -> Tensor {
    let offset = keys as i64 - queries as i64;
    (Tensor::range(queries).expand_dims(-1) + offset).ge(Tensor::range(keys))
}

/// A mask for sequences of these lengths, of shape [batch..]: booleans of shape [batch.., size], true before the end.
///
/// For attention, `padding_mask(&lengths, size).expand_dims(-2).expand_dims(-2)` is a mask of keys.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let mask = padding_mask(&tensor![2, 0], 3);
/// assert_eq!(mask.to_vec::<bool>(), [true, true, false, false, false, false]);
/// ```
#[track_caller]
pub fn padding_mask(lengths: &Tensor, size: usize) -> Tensor {
    Tensor::range(size).lt(lengths.expand_dims(-1))
}

/// Rotary positions (Su et al. 2021): pairs of features are turned by angles that grow with the position, so that
/// products of queries and keys depend on their distance.
///
/// `x` is of shape [batch.., sequence, heads, features], positions are integers that broadcast against
/// [batch.., sequence]. Feature `i` of the first half is paired with feature `i` of the second, as in GPT-NeoX and
/// LLaMA, and turned by `position * base^(-2i / features)`; `base` is 10000 usually.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let x = Key::new(0).normal([5, 2, 8]);
/// let turned = rotary_positions(&x, &Tensor::range(5), 10000.0);
/// assert!(turned.i(0).allclose(x.i(0), 1e-6, 1e-6));
/// assert!(turned.square().sum_axis(-1).allclose(x.square().sum_axis(-1), 1e-4, 1e-5));
/// ```
///
/// # Panics
///
/// If the number of features is odd, or positions do not broadcast.
#[track_caller]
pub fn rotary_positions(x: &Tensor, positions: &Tensor, base: f64) -> Tensor {
    let features = if x.rank() < 3 { 1 } else { x.dim(-1) };
    if !features.is_multiple_of(2) {
        raise(Error::invalid(
            "rotary_positions",
            format!("needs [batch.., sequence, heads, features] with an even number of features, got {}", x.shape()),
        ));
    }
    let wide = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let rates: Vec<f64> = (0..features / 2).map(|i| base.powf(-2.0 * i as f64 / features as f64)).collect();
    let rates = Tensor::from_slice(&rates, [features / 2]).or_raise().astype(wide);
    let angles = (positions.astype(wide).expand_dims(-1) * rates).expand_dims(-2);
    let (sin, cos) = (angles.sin(), angles.cos());
    let halves = x.astype(wide).split(2, -1);
    let turned = [&halves[0] * &cos - &halves[1] * &sin, &halves[1] * &cos + &halves[0] * &sin];
    let turned = Tensor::concatenate(&turned, -1);
    if turned.shape() != x.shape() {
        raise(Error::invalid(
            "rotary_positions",
            format!(
                "positions of shape {} do not broadcast against [batch.., sequence] of {}",
                positions.shape(),
                x.shape()
            ),
        ));
    }
    turned.astype(if x.dtype().is_float() { x.dtype() } else { wide })
}

/// The positions of Vaswani et al. 2017 as vectors, of shape [length, features]: for even features
/// `sin(position * 10000^(-i / features))`, for the odd ones after them the cosine.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let positions = sinusoidal_positions(50, 8);
/// assert_eq!(positions.i(0).to_vec::<f32>(), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
/// ```
#[track_caller]
pub fn sinusoidal_positions(length: usize, features: usize) -> Tensor {
    let rate = |i: usize| 10000_f64.powf(-((i / 2 * 2) as f64) / features as f64);
    let value = |position: usize, i: usize| {
        let angle = position as f64 * rate(i);
        (if i.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    let values: Vec<f32> = (0..length).flat_map(|position| (0..features).map(move |i| value(position, i))).collect();
    Tensor::from_slice(&values, [length, features]).or_raise()
}
