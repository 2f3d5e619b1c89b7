// The arguments of one kernel call, in the form that compiled kernels take them.
#pragma once

#include <array>
#include <deque>

#include "error.h"
#include "row.h"
#include "tensor.h"

namespace upwell {

class Arguments {
public:
    // dtype: of the maps, and so of real numbers.
    Arguments(const std::string &name, Dtype dtype, const Queue *queue);

    void add_map(const Tensor &tensor, int64_t groups);  // N,G*C,H,W as W,H,C,N*G
    void add(const Tensor &tensor);                      // as it is, innermost dimension first
    void add(int64_t integer);
    void add(double real);
    // Tables in host memory, of extents[0] x extents[1] x ..., the first dimension from min on. With a queue they are
    // copied.
    void add_table(const std::vector<int32_t> &table, const std::vector<int64_t> &extents, int64_t min = 0);
    // The one of the dtype; extents: without them those of a list.
    void add_table(const std::vector<double> &table, const std::vector<float> &narrow,
                   const std::vector<int64_t> &extents = {});

    // Calls it. Throws what failed.
    void run(const char *symbol, CompiledKernel compiled);

private:
    void place(Buffer &buffer);
    void add_table(const void *data, halide_type_t type, size_t bytes, const std::vector<int64_t> &extents,
                   int64_t min);

    const std::string name;
    const Dtype dtype;
    Call call;
    void *user_context;
    std::deque<Buffer> buffers;  // a deque keeps its elements where they are
    union Scalar {
        int32_t integer;
        float narrow;
        double wide;
    };
    Scalar &add_scalar();
    std::array<Scalar, 32> scalars;  // no kernel has more
    size_t scalar_count = 0;
    std::vector<void *> pointers;
};

}  // namespace upwell
