//! Random keys, and numbers from them.

use crate::aval::{Aval, Literal};
use crate::dtype::DType;
use crate::error::{Error, OrRaise, Result, raise};
use crate::lax;
use crate::primitive::UnaryOp;
use crate::shape::Shape;
use crate::tensor::{Operand, Tensor};
use crate::tree::{Flattener, Tree, Unflattener};

/// A key of randomness, to be spent once.
///
/// Drawing from a key or splitting it takes it, so that using it twice does not compile; the same seed
/// makes the same key again where the same numbers are wanted. [`fold_in`](Self::fold_in) derives keys
/// from numbers such as the step of a loop.
///
/// Keys and bits are those of `jax.random` with its default implementation (Threefry-2x32,
/// partitionable): equal, on every device, for splitting, folding, bits, uniform numbers, integers,
/// Bernoulli draws and permutations, and within a few units in the last place where a
/// transcendental function follows.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::Key;
///
/// let (a, b) = Key::new(0).split();
/// let noise = a.normal([2, 3]);
/// let coin = b.bernoulli(0.5, [4]);
/// ```
///
/// A key cannot be used again:
///
/// ```compile_fail
/// use jaxnet_tensor::Key;
///
/// let key = Key::new(0);
/// let a = key.normal([2]);
/// let b = key.normal([2]);
/// ```
#[derive(Debug)]
#[must_use]
pub struct Key {
    /// Two words along the last axis; more axes are of keys that `vmap` and `scan` take apart.
    words: Tensor,
}

impl Key {
    /// The key of a seed: that of `jax.random.key(seed)` for seeds of 32 bits, and with 64-bit types
    /// enabled of all seeds.
    ///
    /// ```
    /// use jaxnet_tensor::Key;
    /// assert_eq!(Key::new(7).normal([3]).to_vec::<f32>(), Key::new(7).normal([3]).to_vec::<f32>());
    /// ```
    #[track_caller]
    pub fn new(seed: u64) -> Key {
        let words = [(seed >> 32) as u32, seed as u32];
        Key { words: Tensor::from_slice(&words, 2).or_raise() }
    }

    /// A key from its two words, for instance from `jax.random.key_data`.
    ///
    /// # Errors
    ///
    /// When the tensor is not of u32, or its last axis not of size 2.
    pub fn from_words(words: Tensor) -> Result<Key> {
        if words.dtype() != DType::U32 || words.shape().last() != Some(&2) {
            return Err(Error::invalid("Key::from_words", format!("needs u32[2], got {}", words.aval())));
        }
        Ok(Key { words })
    }

    /// The two words, along the last axis.
    pub fn into_words(self) -> Tensor {
        self.words
    }

    /// The two words as scalars.
    #[track_caller]
    fn pair(&self) -> (Tensor, Tensor) {
        if self.words.rank() != 1 {
            raise(Error::invalid(
                "Key",
                format!("this is a batch of keys ({}); take them apart with `vmap` or `scan`", self.words.aval()),
            ));
        }
        let word = |i| lax::slice_axis(&self.words, 0, i, i + 1, 1).and_then(|x| lax::reshape(&x, Shape::scalar()));
        (word(0).or_raise(), word(1).or_raise())
    }

    /// Two keys.
    ///
    /// ```
    /// use jaxnet_tensor::Key;
    /// let (a, b) = Key::new(0).split();
    /// assert_ne!(a.normal([2]).to_vec::<f32>(), b.normal([2]).to_vec::<f32>());
    /// ```
    #[track_caller]
    pub fn split(self) -> (Key, Key) {
        let [a, b] = self.split_array();
        (a, b)
    }

    /// `N` keys.
    ///
    /// ```
    /// use jaxnet_tensor::Key;
    /// let [params, data, noise] = Key::new(1).split_array();
    /// ```
    #[track_caller]
    pub fn split_array<const N: usize>(self) -> [Key; N] {
        let words = self.split_batch(N).words;
        std::array::from_fn(|i| {
            let row = lax::slice_axis(&words, 0, i, i + 1, 1).or_raise();
            Key { words: lax::reshape(&row, 2).or_raise() }
        })
    }

    /// `n` keys.
    ///
    /// ```
    /// use jaxnet_tensor::Key;
    /// let noise: Vec<_> = Key::new(0).split_n(3).into_iter().map(|key| key.uniform([2])).collect();
    /// assert_ne!(noise[0].to_vec::<f32>(), noise[1].to_vec::<f32>());
    /// ```
    #[track_caller]
    pub fn split_n(self, n: usize) -> Vec<Key> {
        let words = self.split_batch(n).words;
        let row = |i| lax::slice_axis(&words, 0, i, i + 1, 1).and_then(|row| lax::reshape(&row, 2)).or_raise();
        (0..n).map(|i| Key { words: row(i) }).collect()
    }

    /// `n` keys along a leading axis, for `vmap` and `scan` to take apart.
    #[track_caller]
    pub fn split_batch(self, n: usize) -> Key {
        let (high, low) = self.counter_bits(&Shape::from(n));
        let column = |x: Tensor| lax::reshape(&x, [n, 1]).or_raise();
        Key { words: lax::concatenate(&[column(high), column(low)], 1).or_raise() }
    }

    /// A key for a number, such as a step or the index of a layer; does not spend this key. The number
    /// may be traced. Different numbers give unrelated keys.
    ///
    /// ```
    /// use jaxnet_tensor::Key;
    /// let key = Key::new(0);
    /// for epoch in 0..3 {
    ///     let order = key.fold_in(epoch).shuffled_range(10);
    ///     assert_eq!(order.shape().dims(), [10]);
    /// }
    /// ```
    #[track_caller]
    pub fn fold_in(&self, n: impl Operand) -> Key {
        let n = n.into_tensor();
        if !n.dtype().is_integer() || n.rank() != 0 {
            raise(Error::invalid("fold_in", format!("needs an integer scalar, got {}", n.aval())));
        }
        let n = match n.literal() {
            // As a Rust integer is written, so that it does not overflow i32.
            Some(Literal { value: crate::Scalar::Int(n), .. }) => Tensor::scalar(*n as u32),
            _ => lax::convert(&n, DType::U32).or_raise(),
        };
        let (k0, k1) = self.pair();
        // The seed of the number, as `Key::new` makes it, is the counter.
        let (a, b) = lax::threefry2x32((&k0, &k1), (&Tensor::scalar(0_u32), &n)).or_raise();
        Key { words: lax::concatenate(&[a.reshape([1_usize]), b.reshape([1_usize])], 0).or_raise() }
    }

    /// Another key of the same value, for what has to draw the same numbers again: recomputation in a derivative, or a
    /// function that may be called more than once, such as the loss that an optimizer differentiates.
    pub fn duplicate(&self) -> Key {
        Key { words: self.words.clone() }
    }

    /// The cipher on the numbers of the elements of an array.
    #[track_caller]
    fn counter_bits(self, shape: &Shape) -> (Tensor, Tensor) {
        let size = shape.size();
        let (k0, k1) = self.pair();
        let zero = Tensor::scalar(0_u32);
        let low = lax::iota(DType::U32, size, 0).or_raise();
        // The high words of the counters are 0 as long as there are fewer than 2^32 elements.
        if u32::try_from(size).is_err() {
            raise(Error::invalid("random bits", format!("{size} elements are too many to draw at once")));
        }
        let (a, b) = lax::threefry2x32((&k0, &k1), (&zero, &low)).or_raise();
        (lax::reshape(&a, shape).or_raise(), lax::reshape(&b, shape).or_raise())
    }

    /// Random bits, as u32 or u8.
    ///
    /// ```
    /// use jaxnet_tensor::{DType, Key};
    /// assert_eq!(Key::new(0).bits([4], DType::U32).dtype(), DType::U32);
    /// ```
    ///
    /// # Panics
    ///
    /// If the dtype is another.
    #[track_caller]
    pub fn bits(self, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        let bits = self.bits32(&shape.into());
        match dtype {
            DType::U32 => bits,
            DType::U8 => bits.astype(DType::U8),
            _ => raise(Error::invalid("bits", format!("gives u32 or u8, not {dtype}"))),
        }
    }

    #[track_caller]
    fn bits32(self, shape: &Shape) -> Tensor {
        let (high, low) = self.counter_bits(shape);
        high ^ low
    }

    /// Uniform numbers in `0..1`, in f32.
    ///
    /// ```
    /// use jaxnet_tensor::Key;
    /// let x = Key::new(0).uniform([100]);
    /// assert!(x.min().item::<f32>() >= 0.0 && x.max().item::<f32>() < 1.0);
    /// ```
    #[track_caller]
    pub fn uniform(self, shape: impl Into<Shape>) -> Tensor {
        self.uniform_range(shape, 0.0, 1.0, DType::F32)
    }

    /// Uniform numbers in `low..high`, in a floating-point dtype.
    ///
    /// ```
    /// use jaxnet_tensor::{DType, Key};
    /// let x = Key::new(0).uniform_range([100], -1.0, 1.0, DType::F64);
    /// assert!(x.abs().max().item::<f64>() <= 1.0);
    /// ```
    #[track_caller]
    pub fn uniform_range(self, shape: impl Into<Shape>, low: impl Operand, high: impl Operand, dtype: DType) -> Tensor {
        let shape = shape.into();
        let unit = self.unit(&shape, dtype).or_raise();
        let as_float = |x: Tensor| lax::convert(&x, dtype).or_raise();
        let (low, high) = (as_float(low.into_tensor()), as_float(high.into_tensor()));
        // As `jax.random.uniform`: the product may round up to `high`, but not below `low`.
        (unit * (&high - &low) + &low).maximum(&low)
    }

    /// `0..1` with as many random bits as the mantissa has, exactly as JAX makes them: the bits become
    /// the mantissa of a number in `1..2`.
    #[track_caller]
    fn unit(self, shape: &Shape, dtype: DType) -> Result<Tensor> {
        match dtype {
            DType::F32 => {
                let bits = (self.bits32(shape) >> Tensor::scalar(9_u32)) | Tensor::scalar(0x3F80_0000_u32);
                Ok(lax::bitcast_convert(&bits, DType::F32)? - 1.0)
            }
            DType::F64 => {
                let (high, low) = self.counter_bits(shape);
                let wide = |x: Tensor| lax::convert(&x, DType::I64);
                let bits = (wide(high)? << Tensor::scalar(32_i64)) | wide(low)?;
                let by = Tensor::scalar(12_i64);
                let mantissa = lax::binary(crate::primitive::BinaryOp::ShiftRightLogical, &bits, &by)?;
                let bits = mantissa | Tensor::scalar(0x3FF0_0000_0000_0000_i64);
                Ok(lax::bitcast_convert(&bits, DType::F64)? - 1.0)
            }
            // JAX draws as many bits as hold the mantissa: 16 for f16, 8 for bf16. Writing them into the
            // mantissa of a number in 1..2 comes to steps of 2^-10 and 2^-7.
            DType::F16 | DType::BF16 => {
                let (mask, drop, steps) = if dtype == DType::F16 { (0xFFFF, 6, 1024.0) } else { (0xFF, 1, 128.0) };
                let bits = self.bits32(shape) & Tensor::scalar::<u32>(mask);
                let mantissa = lax::convert(&(bits >> Tensor::scalar::<u32>(drop)), DType::F32)?;
                lax::convert(&(mantissa / steps), dtype)
            }
            _ => Err(Error::invalid("uniform", format!("needs a floating-point dtype, got {dtype}"))),
        }
    }

    /// Numbers of the standard normal distribution, in f32.
    ///
    /// ```
    /// use jaxnet_tensor::Key;
    /// let x = Key::new(0).normal([1000]);
    /// assert!(x.mean().item::<f32>().abs() < 0.1);
    /// ```
    #[track_caller]
    pub fn normal(self, shape: impl Into<Shape>) -> Tensor {
        self.normal_dtype(shape, DType::F32)
    }

    /// Numbers of the standard normal distribution, in a floating-point dtype.
    #[track_caller]
    pub fn normal_dtype(self, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        // The least number above -1, at which the inverse error function is finite.
        let low = match dtype {
            DType::F64 => (-1.0_f64).next_up(),
            DType::F16 => half::f16::from_bits(half::f16::from_f32(-1.0).to_bits() - 1).to_f64(),
            DType::BF16 => half::bf16::from_bits(half::bf16::from_f32(-1.0).to_bits() - 1).to_f64(),
            _ => (-1.0_f32).next_up() as f64,
        };
        let u = self.uniform_range(shape, low, 1.0, dtype);
        lax::unary(UnaryOp::ErfInv, &u).or_raise() * std::f64::consts::SQRT_2
    }

    /// Numbers of the standard normal distribution cut off outside of `low..high`, in f32.
    ///
    /// ```
    /// use jaxnet_tensor::Key;
    /// assert!(Key::new(0).truncated_normal(-2.0, 2.0, [1000]).abs().max().item::<f32>() < 2.0);
    /// ```
    #[track_caller]
    pub fn truncated_normal(self, low: f64, high: f64, shape: impl Into<Shape>) -> Tensor {
        let root = std::f64::consts::SQRT_2;
        let [a, b] = [low, high].map(|x| Tensor::scalar((x / root) as f32).erf());
        let u = self.uniform_range(shape, a, b, DType::F32);
        let x = lax::unary(UnaryOp::ErfInv, &u).or_raise() * root;
        // Rounding must not carry out of the range.
        x.clip((low as f32).next_up(), (high as f32).next_down())
    }

    /// True with probability `p`, which broadcasts to the shape.
    ///
    /// ```
    /// use jaxnet_tensor::Key;
    /// let heads = Key::new(0).bernoulli(0.25, [1000]).mean().item::<f32>();
    /// assert!((heads - 0.25).abs() < 0.05);
    /// ```
    #[track_caller]
    pub fn bernoulli(self, p: impl Operand, shape: impl Into<Shape>) -> Tensor {
        let p = p.into_tensor();
        let dtype = p.dtype().to_float();
        self.uniform_range(shape, 0.0, 1.0, dtype).lt(p)
    }

    /// Integers in `low..high`, in i32.
    ///
    /// ```
    /// use jaxnet_tensor::Key;
    /// let dice = Key::new(0).randint([100], 1, 7);
    /// assert_eq!((dice.min().item::<i32>(), dice.max().item::<i32>()), (1, 6));
    /// ```
    ///
    /// # Panics
    ///
    /// If there are none.
    #[track_caller]
    pub fn randint(self, shape: impl Into<Shape>, low: i32, high: i32) -> Tensor {
        if low >= high {
            raise(Error::invalid("randint", format!("there are no integers in {low}..{high}")));
        }
        let shape = shape.into();
        let (a, b) = self.split();
        // As `jax.random.randint`: two words, so that the remainder is nearly unbiased.
        let (high_bits, low_bits) = (a.bits32(&shape), b.bits32(&shape));
        let span = (high as i64 - low as i64) as u32;
        let multiplier = {
            let m = (1_u64 << 16) % span as u64;
            ((m as u32).wrapping_mul(m as u32)) % span
        };
        let word = |x: u32| Tensor::scalar(x);
        let offset = ((high_bits % word(span)) * word(multiplier) + (low_bits % word(span))) % word(span);
        lax::convert(&offset, DType::I32).or_raise() + low
    }

    /// Numbers of the standard Gumbel distribution, in f32.
    #[track_caller]
    pub fn gumbel(self, shape: impl Into<Shape>) -> Tensor {
        let tiny = f32::MIN_POSITIVE as f64;
        -(-self.uniform_range(shape, tiny, 1.0, DType::F32).log()).log()
    }

    /// Numbers of the exponential distribution with rate 1, in f32.
    #[track_caller]
    pub fn exponential(self, shape: impl Into<Shape>) -> Tensor {
        -(-self.uniform(shape)).log1p()
    }

    /// For each row of logits along an axis, the index (i32) of a draw from the distribution that they
    /// are unnormalized log-probabilities of.
    ///
    /// ```
    /// use jaxnet_tensor::{Key, tensor};
    /// let logits = tensor![[0.0, 50.0], [50.0, 0.0]];
    /// assert_eq!(Key::new(0).categorical(&logits, -1).to_vec::<i32>(), [1, 0]);
    /// ```
    #[track_caller]
    pub fn categorical(self, logits: &Tensor, axis: isize) -> Tensor {
        (self.gumbel(logits.shape()).astype(logits.dtype()) + logits).argmax(axis)
    }

    /// The elements along an axis in random order, rows staying together.
    ///
    /// ```
    /// use jaxnet_tensor::{Key, Tensor};
    /// let x = Key::new(0).permutation(&Tensor::range(5), 0);
    /// assert_eq!(x.sort(0).to_vec::<i32>(), [0, 1, 2, 3, 4]);
    /// ```
    #[track_caller]
    pub fn permutation(self, x: &Tensor, axis: isize) -> Tensor {
        let index = x.axis("permutation", axis).or_raise();
        let order = self.shuffled_range(x.shape()[index]);
        x.take(&order, axis)
    }

    /// `0..n` in random order, in i32.
    ///
    /// ```
    /// use jaxnet_tensor::Key;
    /// assert_eq!(Key::new(0).shuffled_range(4).sort(0).to_vec::<i32>(), [0, 1, 2, 3]);
    /// ```
    #[track_caller]
    pub fn shuffled_range(self, n: usize) -> Tensor {
        // As `jax.random.permutation`: sorted by random words, as often as makes equal ones unlikely.
        let rounds = (3.0 * (n.max(1) as f64).ln() / (u32::MAX as f64).ln()).ceil() as usize;
        let mut key = self;
        let mut order = Tensor::range(n);
        for _ in 0..rounds {
            let (next, now) = key.split();
            key = next;
            let words = now.bits32(&Shape::from(n));
            order = lax::sort(&[words, order], 0, 1, false).or_raise().pop().expect("two results");
        }
        order
    }
}

impl Tree for Key {
    fn flatten(&self, to: &mut Flattener) {
        to.key(&self.words);
    }
    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
        from.key().map(|words| Key { words })
    }
}

/// What a key's words look like.
impl Key {
    /// Shape and dtype of one key's words.
    pub fn aval() -> Aval {
        Aval::new(DType::U32, 2)
    }
}
