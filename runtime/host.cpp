#include "host.h"

#include <algorithm>
#include <memory>

#include "error.h"
#include "tensor.h"
#include "views.h"

namespace upwell {
namespace {

template<class T> std::vector<double> gather(const T *data, const Tensor &tensor) {
    const std::vector<int64_t> strides = strides_of(tensor);
    std::vector<double> numbers(element_count(tensor));
    for (size_t i = 0; i < numbers.size(); i++) {
        int64_t place = 0;
        for (size_t d = strides.size(), rest = i; d-- > 0; rest /= tensor.sizes[d]) {
            place += static_cast<int64_t>(rest % tensor.sizes[d]) * strides[d];
        }
        numbers[i] = static_cast<double>(data[place]);
    }
    return numbers;
}

}  // namespace

Host::~Host() {
    for (Block &block : blocks_) {
        if (block.own.memory) {
            Pool::shared().give_back(std::move(block.own));
        }
    }
}

template<class T>
Tensor Host::keep(std::deque<std::vector<T>> &kept, std::vector<T> values, Dtype dtype, std::vector<int64_t> sizes) {
    std::vector<T> &own = kept.emplace_back(std::move(values));
    const size_t bytes = own.size() * sizeof(T);
    if (sizes.empty()) {
        sizes = {static_cast<int64_t>(own.size())};
    }
    return {queue_ ? queue_->upload(own.data(), bytes) : own.data(), dtype, std::move(sizes), {}};
}

Tensor Host::table(const std::vector<int> &values, std::vector<int64_t> sizes) {
    return keep(integers_, values, Dtype::Int32, std::move(sizes));
}

Tensor Host::table(const std::vector<double> &values, std::vector<int64_t> sizes) {
    return dtype_ == Dtype::Float64
               ? keep(doubles_, values, dtype_, std::move(sizes))
               : keep(floats_, std::vector<float>(values.begin(), values.end()), dtype_, std::move(sizes));
}

Tensor Host::constant(double value, const std::vector<int64_t> &sizes) {
    Tensor line = table(std::vector(sizes.back(), value));
    line.strides.assign(sizes.size(), 0);
    line.strides.back() = 1;
    line.sizes = sizes;
    return line;
}

Tensor Host::scratch(const std::vector<int64_t> &sizes) {
    constexpr size_t alignment = 256, first_block = size_t(1) << 16, large_block = size_t(1) << 22;
    Tensor tensor{nullptr, dtype_, sizes, {}};
    const size_t bytes = (element_count(tensor) * element_size(dtype_) + alignment - 1) / alignment * alignment;
    auto &[index, taken] = place_;
    while (index < blocks_.size() && taken + bytes > blocks_[index].size) {
        index++;
        taken = 0;
    }
    if (index == blocks_.size()) {
        const size_t size = std::max(bytes, std::min(first_block << index, large_block));
        Block &block = blocks_.emplace_back(nullptr, size, PoolBlock());
        if (queue_) {
            block.start = static_cast<std::byte *>(queue_->allocate(size));
        } else {
            block.own = Pool::shared().take(size + alignment);
            void *start = block.own.memory.get();
            size_t space = size + alignment;
            block.start = static_cast<std::byte *>(std::align(alignment, size, start, space));
        }
    }
    tensor.data = blocks_[index].start + taken;
    taken += bytes;
    return tensor;
}

std::vector<double> Host::numbers(const Tensor &tensor) const {
    if (element_count(tensor) == 0) {
        return {};
    }
    const void *data = tensor.data;
    std::vector<std::byte> copy;
    if (queue_) {
        const std::vector<int64_t> strides = strides_of(tensor);
        int64_t span = 1;
        for (size_t d = 0; d < strides.size(); d++) {
            span += (tensor.sizes[d] - 1) * strides[d];
        }
        copy.resize(span * element_size(tensor.dtype));
        queue_->download(copy.data(), tensor.data, copy.size());
        data = copy.data();
    }
    return tensor.dtype == Dtype::Float64 ? gather(static_cast<const double *>(data), tensor)
                                          : gather(static_cast<const float *>(data), tensor);
}

void Host::fill(const Tensor &tensor, double value) {
    contract({tensor, std::string("abcde").substr(0, tensor.sizes.size())}, {number(one_, 1), ""}, value);
}

void Host::run(const std::string &kernel, const std::vector<NamedArgument> &arguments) const {
    run_kernel(kernel, dtype_, arguments, queue_);
}

Tensor planes(const std::string &op, const std::string &argument, const Tensor &map) {
    if (map.sizes.size() != 4 || !is_contiguous(map)) {
        throw Error(op, argument, "should be contiguous, N,C,H,W");
    }
    return {map.data, map.dtype, {map.sizes[0] * map.sizes[1], map.sizes[2], map.sizes[3]}, {}};
}

void check_sizes(const std::string &op, const std::string &argument, const Tensor &tensor,
                 const std::vector<int64_t> &expected) {
    if (tensor.sizes != expected) {
        throw Error(op, argument, "should be " + format(expected) + " but is " + format(tensor.sizes));
    }
}

}  // namespace upwell
