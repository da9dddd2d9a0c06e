//! Normalization of weights.

use jaxnet_tensor::{Key, Shape, Tensor};

use crate::scope::Scope;

/// Kernels as directions and lengths (Salimans and Kingma 2016), for layers that are linear in a kernel.
///
/// What a layer gives at first has mean 0 and this standard deviation in each channel, for the inputs that its
/// parameters are made with.
#[derive(Clone, Copy)]
pub(in super::super) struct WeightNorm {
    pub init_scale: f64,
}

impl WeightNorm {
    /// The layer's result: `run` gives it for a kernel, without bias.
    ///
    /// Channels are along `kernel_axis` of the kernel and `axis` of the result.
    #[track_caller]
    pub fn run(
        self,
        cx: &mut Scope<'_>,
        kernel: &Tensor,
        kernel_axis: usize,
        axis: usize,
        has_bias: bool,
        run: impl Fn(&Tensor) -> Tensor,
    ) -> Tensor {
        let others = |rank: usize, axis: usize| -> Vec<usize> { (0..rank).filter(|&other| other != axis).collect() };
        let length = kernel.square().sum_keepdims(&others(kernel.rank(), kernel_axis)[..]);
        // The result is linear in the kernel, so that what stretches the kernel may stretch the result as well.
        let y = run(&(kernel * (length + 1e-12).rsqrt()));
        let channels = Shape::from([kernel.shape()[kernel_axis]]);
        let axes = others(y.rank(), axis);
        let scale = || (y.var_axis(&axes[..]) + 1e-10).rsqrt() * self.init_scale;
        let g = cx.param("scale", &channels, |_: Key, _: &Shape| scale());
        let beside: Shape = (0..y.rank()).map(|at| if at == axis { channels[0] } else { 1 }).collect();
        let scaled = &y * g.reshape(beside.dims());
        if !has_bias {
            return scaled;
        }
        let bias = cx.param("bias", &channels, |_: Key, _: &Shape| -y.mean_axis(&axes[..]) * scale());
        scaled + bias.reshape(beside.dims())
    }
}
