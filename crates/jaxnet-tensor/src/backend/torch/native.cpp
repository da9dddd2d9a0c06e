// What the crate tch does not expose of libtorch.

#include <ATen/core/Tensor.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <c10/core/CPUAllocator.h>

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

namespace {

// The host's memory for arrays, from whoever gave these functions.
struct Memory final : c10::Allocator {
  void *(*take)(size_t);
  void (*give)(void *);

  Memory(void *(*take)(size_t), void (*give)(void *)) : take(take), give(give) {}

  c10::DataPtr allocate(size_t bytes) override {
    void *array = bytes == 0 ? nullptr : take(bytes);
    TORCH_CHECK(bytes == 0 || array != nullptr, "there is no memory of ", bytes, " bytes for a tensor");
    return {array, array, give, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return give; }

  void copy_data(void *to, const void *from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};

}  // namespace

// From now on, new arrays are in memory of `take`, which gives null where there is none, and go to `give`, which
// ignores null.
extern "C" void jaxnet_use_memory(void *(*take)(size_t), void (*give)(void *)) {
  // Arrays may be freed as late as when the process ends.
  c10::SetCPUAllocator(new Memory(take, give));
}
