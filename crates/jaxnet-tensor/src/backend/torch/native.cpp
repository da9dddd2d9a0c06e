// Operations of libtorch that the crate tch does not expose.

#include <ATen/core/Tensor.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <vector>

// The gradient of a convolution by its kernel, as a new tensor in `*result`; else what went wrong, as a text that
// the caller frees.
extern "C" char *jaxnet_convolution_kernel_gradient(const at::Tensor *cotangent, const at::Tensor *input,
                                                    const int64_t *kernel_shape, size_t rank, const int64_t *strides,
                                                    const int64_t *padding, const int64_t *dilation,
                                                    at::Tensor **result) {
  try {
    // Only its shape and the order of its axes in memory matter.
    auto shape = at::IntArrayRef(kernel_shape, rank + 2);
    auto kernel = at::empty(shape, input->options(), input->suggest_memory_format());
    const std::vector<int64_t> zeros(rank, 0);
    auto gradients = at::convolution_backward(*cotangent, *input, kernel, c10::nullopt, at::IntArrayRef(strides, rank),
                                              at::IntArrayRef(padding, rank), at::IntArrayRef(dilation, rank),
                                              /*transposed=*/false, zeros, /*groups=*/1, {false, true, false});
    *result = new at::Tensor(std::get<1>(gradients));
    return nullptr;
  } catch (const std::exception &error) {
    return strdup(error.what());
  }
}

extern "C" void jaxnet_free_text(char *text) { free(text); }
