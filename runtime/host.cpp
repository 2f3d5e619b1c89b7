#include "host.h"

#include "error.h"
#include "tensor.h"

namespace upwell {

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

Tensor Host::scratch(const std::vector<int64_t> &sizes) {
    Tensor tensor{nullptr, dtype_, sizes, {}};
    const size_t bytes = element_count(tensor) * element_size(dtype_);
    if (queue_) {
        tensor.data = queue_->allocate(bytes);
    } else {
        tensor.data = blocks_.emplace_back(new std::byte[bytes]).get();
    }
    return tensor;
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

void check_range(const std::string &op, const std::string &argument, int64_t value, int64_t least, int64_t most) {
    if (value < least || value > most) {
        throw Error(op, argument, "should be in " + std::to_string(least) + " .. " + std::to_string(most) + " but is " +
                                      std::to_string(value));
    }
}

}  // namespace upwell
