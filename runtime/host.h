// What the host side of an operator is written with: tables, and kernels that are called by their arguments' names.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "upwell.h"

namespace upwell {

class Host {
public:
    // dtype: of the maps.
    Host(Dtype dtype, const Queue *queue) : dtype_(dtype), queue_(queue) {}
    Host(const Host &) = delete;
    Host &operator=(const Host &) = delete;

    // A table as kernels take it, on the queue's device if there is one; it stays until this object is gone. sizes: its
    // own, or one dimension. Of reals: in the dtype of the maps.
    Tensor table(const std::vector<int> &values, std::vector<int64_t> sizes = {});
    Tensor table(const std::vector<double> &values, std::vector<int64_t> sizes = {});

    void run(const std::string &kernel, const std::vector<NamedArgument> &arguments) const;

private:
    template<class T> Tensor keep(std::deque<std::vector<T>> &kept, std::vector<T> values, Dtype dtype,
                                  std::vector<int64_t> sizes);

    const Dtype dtype_;
    const Queue *const queue_;
    std::deque<std::vector<int>> integers_;
    std::deque<std::vector<float>> floats_;
    std::deque<std::vector<double>> doubles_;
};

// A map N,C,H,W whose elements lie side by side, as planes N*C,H,W. Throws Error of this operator and argument.
Tensor planes(const std::string &op, const std::string &argument, const Tensor &map);

// `<argument> should be <sizes> but is <sizes>`, unless it is; and other than four dimensions.
void check_sizes(const std::string &op, const std::string &argument, const Tensor &tensor,
                 const std::vector<int64_t> &expected);

}  // namespace upwell
