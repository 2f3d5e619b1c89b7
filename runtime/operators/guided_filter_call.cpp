#include "operators/guided_filter_call.h"

#include <algorithm>
#include <numeric>

#include "grid/reads.h"
#include "pixel_sums.h"
#include "tensor.h"
#include "views.h"

namespace upwell {
namespace {

using Options = GuidedFilterOptions;

// Of a line of pixels.
int64_t samples_of(const Options &options, int64_t pixels) {
    return std::max<int64_t>(pixels / options.scale, 1);
}

// In samples.
int64_t box(const Options &options) {
    return options.radius / options.scale;
}

// Where samples of a line read the input, and pixels the samples.
struct Axis {
    Reads key, back;
};

Reads read_back(const Options &options, int64_t pixels) {
    const int64_t samples = samples_of(options, pixels);
    return options.centred ? read_between_samples(samples, pixels, options.scale)
                           : read_bilinear(samples, pixels, pixels, 1);
}

Axis axis(const Options &options, int64_t low, int64_t high) {
    return {read_bilinear(low, high, samples_of(options, high), options.scale), read_back(options, high)};
}

// Mirrors at the ends of a line of samples: it goes on for two boxes beyond each, as far as the mean over a box of what
// was fitted in boxes reaches.
Mirror mirror(const Options &options, int64_t pixels) {
    return {pixels, samples_of(options, pixels), options.scale, 2 * box(options), options.border == "symmetric"};
}

// Of a mirrored line: its pixels read what they read without a border, where their edge sample has no next one.
Axis axis(const Options &options, const Mirror &line) {
    const int64_t places = line.places();
    const Reads reads = read_back(options, line.pixels);
    Reads back{std::vector<int>(places), std::vector<double>(places)};
    for (int64_t p = 0; p < line.pixels; p++) {
        back.lower[line.place(p)] = static_cast<int>(reads.lower[p] + line.more);
        back.fraction[line.place(p)] = reads.lower[p] < line.samples - 1 ? reads.fraction[p] : 0;
    }
    // What the other places read is of no account, but may not decrease.
    std::partial_sum(back.lower.begin(), back.lower.end(), back.lower.begin(),
                     [](int before, int lower) { return std::max(before, lower); });
    return {read_bilinear(places, places, line.samples + 2 * line.more, options.scale), back};
}

}  // namespace

GuidedFilterCall::GuidedFilterCall(std::string op, const Options &options, const Tensor &guide,
                                   std::pair<int64_t, int64_t> input, Host &host, const Queue *queue)
    : op_(std::move(op)), options_(options), height_(guide.sizes[2]), width_(guide.sizes[3]), input_(input),
      host_(host), queue_(queue) {
    if (options.border != "inside" && box(options) > 0) {
        border_ = {mirror(options, height_), mirror(options, width_)};
        check_tensor(op_, "guide with its border", {guide.data, guide.dtype, with_border(guide), {}}, guide.dtype);
    }
}

Tensor GuidedFilterCall::extended(const Tensor &map) {
    if (!border_) {
        return map;
    }
    Tensor full = map;
    if (!is_full_size(map)) {
        full = host_.scratch({map.sizes[0], map.sizes[1], height_, width_});
        upwell::run("bilinear", {{"value", map}, {"output", full}}, queue_);
    }
    return spread(full, border_->rows.extended(), border_->columns.extended());
}

Tensor GuidedFilterCall::embedded(const Tensor &map) {
    return border_ ? spread(map, border_->rows.own(), border_->columns.own()) : map;
}

std::pair<int64_t, int64_t> GuidedFilterCall::input_size() const {
    return border_ ? std::pair{border_->rows.places(), border_->columns.places()} : input_;
}

Tensor GuidedFilterCall::room_for(const std::string &argument, const Tensor &map) {
    if (!border_) {
        return map;
    }
    const std::vector<int64_t> sizes = with_border(map);
    check_tensor(op_, argument + " with its border", {map.data, map.dtype, sizes, {}}, map.dtype);
    return host_.scratch(sizes);
}

void GuidedFilterCall::crop(const Tensor &large, const Tensor &output) {
    if (border_) {
        collect(large, output, border_->rows.own(), border_->columns.own());
    }
}

void GuidedFilterCall::fold(const Tensor &large, const Tensor &gradient) {
    if (!border_) {
        return;
    }
    const bool is_full = is_full_size(gradient);
    const Tensor full = is_full ? gradient : host_.scratch({gradient.sizes[0], gradient.sizes[1], height_, width_});
    collect(large, full, border_->rows.extended(), border_->columns.extended());
    if (!is_full) {
        upwell::run("bilinear_d_value", {{"d_output", full}, {"d_value", gradient}}, queue_);
    }
}

void GuidedFilterCall::run(std::vector<NamedArgument> maps) {
    const Axis rows = border_ ? axis(options_, border_->rows) : axis(options_, input_.first, height_),
               columns = border_ ? axis(options_, border_->columns) : axis(options_, input_.second, width_);
    for (const auto &[name, reads] : {std::pair{"key_column", &columns.key},
                                      {"key_row", &rows.key},
                                      {"column", &columns.back},
                                      {"row", &rows.back}}) {
        maps.push_back({std::string(name) + "s", host_.table(reads->lower)});
        maps.push_back({std::string(name) + "_fraction", host_.table(reads->fraction)});
    }
    maps.push_back({"radius", box(options_)});
    maps.push_back({"scale", options_.scale});
    maps.push_back({"eps", options_.eps});
    host_.run(op_, maps);
}

std::vector<int64_t> GuidedFilterCall::with_border(const Tensor &map) const {
    return {map.sizes[0], map.sizes[1], border_->rows.places(), border_->columns.places()};
}

Tensor GuidedFilterCall::spread(const Tensor &map, const Picks &rows, const Picks &columns) {
    const Tensor large = host_.scratch(with_border(map));
    sum_pixels(host_, map, large, rows, columns);
    return large;
}

void GuidedFilterCall::collect(const Tensor &map, const Tensor &output, const Picks &rows, const Picks &columns) {
    sum_pixels(host_, map, output, transposed(rows, height_), transposed(columns, width_));
}

}  // namespace upwell
