// What the host side of an operator is written with: tables, and kernels that are called by their arguments' names.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "pool.h"
#include "upwell.h"

namespace upwell {

// A tensor and a letter for each of its dimensions.
struct Lettered {
    Tensor tensor;
    std::string letters;
};

class Host {
public:
    // dtype: of the maps.
    Host(Dtype dtype, const Queue *queue) : dtype_(dtype), queue_(queue) {}
    ~Host();
    Host(const Host &) = delete;
    Host &operator=(const Host &) = delete;

    // A table as kernels take it, on the queue's device if there is one; it stays until this object is gone. sizes: its
    // own, or one dimension. Of reals: in the dtype of the maps.
    Tensor table(const std::vector<int> &values, std::vector<int64_t> sizes = {});
    Tensor table(const std::vector<double> &values, std::vector<int64_t> sizes = {});

    // A tensor of one value in a few bytes: only its innermost dimension has a stride.
    Tensor constant(double value, const std::vector<int64_t> &sizes);

    Backend backend() const { return upwell::backend(queue_ != nullptr); }

    // Memory for the kernels of this object, in the dtype of the maps; not cleared. It is given back with the innermost
    // Scope there is.
    Tensor scratch(const std::vector<int64_t> &sizes);

    // What is taken in its time is taken again after it: kernels run in order.
    class Scope {
    public:
        explicit Scope(Host &host) : host_(host), place_(host.place_) {}
        ~Scope() { host_.place_ = place_; }
        Scope(const Scope &) = delete;
        Scope &operator=(const Scope &) = delete;

    private:
        Host &host_;
        const std::pair<size_t, size_t> place_;
    };

    // The elements of a map in their order. With a queue it waits.
    std::vector<double> numbers(const Tensor &tensor) const;
    bool waits_for_device() const { return queue_ != nullptr; }

    void run(const std::string &kernel, const std::vector<NamedArgument> &arguments) const;

    // output = offset + factor * the sum of left * right over the letters that output lacks, as in
    //     contract({y, "nl"}, {weight, "le"}, {x, "ne"})
    // Every letter has one extent; only the last one of output may be shorter in left or right, whose products are 0
    // from there on. At most 5 letters of output and 3 that are summed. Sums are float64. Without right: of left.
    // offset, without which it is 0: of output's letters or fewer; it may be output.
    void contract(const Lettered &output, const Lettered &left, const Lettered &right, double factor = 1,
                  const Lettered &offset = {});
    void contract(const Lettered &output, const Lettered &left, double factor = 1, const Lettered &offset = {});

    // Every element of a tensor of at most 5 dimensions.
    void fill(const Tensor &tensor, double value);

private:
    const Tensor &number(std::optional<Tensor> &kept, double value);
    template<class T>
    Tensor keep(std::deque<std::vector<T>> &kept, std::vector<T> values, Dtype dtype, std::vector<int64_t> sizes);

    const Dtype dtype_;
    const Queue *const queue_;
    std::deque<std::vector<int>> integers_;
    std::deque<std::vector<float>> floats_;
    std::deque<std::vector<double>> doubles_;
    struct Block {
        std::byte *start;
        size_t size;
        PoolBlock own;  // without a queue
    };
    std::vector<Block> blocks_;
    std::pair<size_t, size_t> place_{0, 0};  // the block that memory is taken of, and what of it is taken
    std::optional<Tensor> zero_, one_;       // of no dimensions
};

// A map N,C,H,W whose elements lie side by side, as planes N*C,H,W. Throws Error of this operator and argument.
Tensor planes(const std::string &op, const std::string &argument, const Tensor &map);

// `<argument> should be <sizes> but is <sizes>`, unless it is; and other than four dimensions.
void check_sizes(const std::string &op, const std::string &argument, const Tensor &tensor,
                 const std::vector<int64_t> &expected);

}  // namespace upwell
