// What the guided filters have in common on the host: where samples and pixels read each other, and maps that go on
// beyond their borders.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host.h"
#include "mirror.h"
#include "operators/guided_filter.h"
#include "signature.h"

namespace upwell {

// What a call may say.
std::vector<OptionArgument> guided_filter_options();

// A call of a kernel. With border "reflect" and "symmetric" the kernel runs without a border on maps that were extended
// by it, and what it makes is cut to size; else every map here is the caller's.
class GuidedFilterCall {
public:
    // guide: N,D,H,W; input: height and width of N,C,h,w. Throws Error where the guide with its border would have too
    // many elements.
    GuidedFilterCall(std::string op, const GuidedFilterOptions &options, const Tensor &guide,
                     std::pair<int64_t, int64_t> input, Host &host, const Queue *queue);

    // What the kernel reads: a guide or an input with its border, interpolated before if it has another size; and a
    // gradient of the output, which has no border.
    Tensor extended(const Tensor &map);
    Tensor embedded(const Tensor &map);
    // What it reads of the input where it does not read it: its height and width.
    std::pair<int64_t, int64_t> input_size() const;

    // Where it writes what becomes a map of the caller, and how that is made of it: the output is cut, gradients of
    // what was extended are folded back.
    Tensor room_for(const std::string &argument, const Tensor &map);
    void crop(const Tensor &large, const Tensor &output);
    void fold(const Tensor &large, const Tensor &gradient);

    // With the tables and numbers that every such kernel takes.
    void run(std::vector<NamedArgument> maps);

private:
    struct Border {
        Mirror rows, columns;
    };

    std::vector<int64_t> with_border(const Tensor &map) const;
    Tensor spread(const Tensor &map, const Picks &rows, const Picks &columns);
    void collect(const Tensor &map, const Tensor &output, const Picks &rows, const Picks &columns);
    bool is_full_size(const Tensor &map) const { return map.sizes[2] == height_ && map.sizes[3] == width_; }

    const std::string op_;
    const GuidedFilterOptions &options_;
    const int64_t height_, width_;
    const std::pair<int64_t, int64_t> input_;
    Host &host_;
    const Queue *const queue_;
    std::optional<Border> border_;
};

}  // namespace upwell
