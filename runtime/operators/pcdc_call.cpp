#include "operators/pcdc_call.h"

#include "grid/gaussian.h"
#include "views.h"

namespace upwell::pcdc {
namespace {

constexpr int64_t most_pixels_at_once = 1 << 18;  // of all samples; their records take some 90 MB in float32

Tensor part_of(const Tensor &tensor, const Part &part, int samples, int groups, int64_t each) {
    Tensor result = tensor;
    if (samples >= 0) {
        result = narrowed(result, samples, part.sample, 1);
    }
    if (groups >= 0) {
        result = narrowed(result, groups, part.group * each, each);
    }
    return result;
}

// The record's dimension, its last one, as these; a record's first place is `first`.
Tensor unfolded(const Tensor &records, int64_t first, std::initializer_list<int64_t> sizes) {
    const Tensor part = narrowed(records, records.sizes.size() - 1, first, 1);
    Tensor result{part.data, part.dtype, part.sizes, part.strides};
    result.sizes.pop_back();
    result.strides.pop_back();
    const Tensor dense{nullptr, part.dtype, sizes, {}};
    const std::vector<int64_t> strides = strides_of(dense);
    result.sizes.insert(result.sizes.end(), sizes.begin(), sizes.end());
    result.strides.insert(result.strides.end(), strides.begin(), strides.end());
    return result;
}

}  // namespace

void Arguments::add(const std::string &name, const Tensor &tensor, int samples, int groups, int64_t each) {
    list_.push_back({name, tensor, samples, groups, each});
}

std::vector<NamedArgument> Arguments::of(const std::optional<Part> &part) const {
    std::vector<NamedArgument> result;
    for (const Shared &argument : list_) {
        const Tensor *tensor = std::get_if<Tensor>(&argument.value);
        result.push_back({argument.name, part && tensor ? Value(part_of(*tensor, *part, argument.samples,
                                                                        argument.groups, argument.each))
                                                        : argument.value});
    }
    return result;
}

Call::Call(Host &host, const Channels &channels, const Tensor &query, const std::vector<Offset> &taps)
    : tiling(host, channels.N, query.sizes[2], query.sizes[3], taps), channels(channels),
      taps(static_cast<int64_t>(taps.size())), host_(host) {}

Call::Call(Host &host, const Channels &channels, const Tensor &key, const Tensor &query, const Weights &weights,
           const std::vector<Offset> &taps, bool blur)
    : Call(host, channels, query, taps) {
    blur_ = gaussian_side(blur);
    common_.add("key", key, 0, 1, channels.of_group);
    common_.add("key_centre", weights.key_centre, 0, 1, channels.of_group);
    common_.add("key_weight", weights.key, 0, 1);
    common_.add("tap_columns", tiling.tap_columns);
    common_.add("tap_rows", tiling.tap_rows);
    common_.add("blur", blur_);
    common_.add("reach_x", tiling.reach_x);
    common_.add("reach_y", tiling.reach_y);
    add_query(query, weights);
}

Call::Call(Host &host, const Channels &channels, const Tensor &coarse, const Tensor &query, const Weights &weights)
    : Call(host, channels, query, std::vector<Offset>()) {
    cells_.emplace(host, tiling, coarse.sizes[2] - 2, coarse.sizes[3] - 2);
    common_.add("coarse", coarse, 0, 1);
    common_.add("columns", cells_->columns);
    common_.add("rows", cells_->rows);
    common_.add("column_fraction", cells_->column_fraction);
    common_.add("row_fraction", cells_->row_fraction);
    common_.add("frame_columns", cells_->frame_columns);
    common_.add("frame_rows", cells_->frame_rows);
    add_query(query, weights);
}

void Call::add_query(const Tensor &query, const Weights &weights) {
    common_.add("query", query, 0, 1, channels.of_group);
    common_.add("query_centre", weights.query_centre, 0, 1, channels.of_group);
    common_.add("query_weight", weights.query, 0, 1);
    common_.add("bias", weights.bias, 0, 1);
    common_.add("phase_rows", tiling.rows());
    common_.add("row_step", tiling.step);
}

void Call::run(const std::string &pass, const Arguments &rest, const std::optional<Part> &part) const {
    Arguments all = common_;
    all.add(rest);
    host_.run((cells_ ? "pcdc_upsampled" : "pcdc") + pass, all.of(part));
}

Record<int64_t> Call::record(int64_t columns) const {
    return {tiling.tile,
            channels.padded,
            columns,
            channels.of_group,
            cells_ ? cells_->frame_columns : tiling.frame_columns(),
            cells_ ? cells_->frame_rows : tiling.frame_rows(),
            !cells_};
}

// Of large maps group by group, so that records of all groups never exist at a time.
void Call::run_backward(const std::string &pass, const Arguments &rest, int64_t hidden, const Backward &result) const {
    const Host::Scope scope(host_);
    const int64_t width = columns().compressor() + hidden, size = record(width).size();
    std::vector<int64_t> sizes = tiling.of_tiles({channels.groups, size});
    const auto run_part = [&](const Tensor &records, const std::optional<Part> &part) {
        Arguments own = rest;
        own.add("gradients", records);
        run(pass, own, part);
        collect(records, width, result, part);
    };
    if (tiling.N * tiling.H * tiling.W <= most_pixels_at_once) {
        run_part(host_.scratch(sizes), {});
        return;
    }
    sizes[0] = sizes[4] = 1;
    const Tensor records = host_.scratch(sizes);
    for (int64_t sample = 0; sample < channels.N; sample++) {
        for (int64_t group = 0; group < channels.groups; group++) {
            run_part(records, Part{sample, group});
        }
    }
}

// records: N,step,tiles y,tiles x,G,size, or of a part.
void Call::collect(const Tensor &records, int64_t columns, const Backward &result,
                   const std::optional<Part> &part) const {
    const Record<int64_t> layout = record(columns);
    const auto own = [&](const Tensor &whole) { return part ? part_of(whole, *part, 0, 1, 1) : whole; };
    const auto d_map = [&](const Tensor &map) { return own(split(map, 1, channels.groups)); };
    sum_tiles(host_, unfolded(records, 0, {columns, channels.padded}), own(result.weights));
    if (result.d_query) {
        collect_map(unfolded(records, layout.query(), {channels.of_group, tiling.tile.rows, tiling.tile.columns}), 0, 0,
                    0, d_map(*result.d_query));
    }
    if (!cells_) {
        collect_map(unfolded(records, layout.frame(), {channels.of_group, layout.frame_rows, layout.frame_columns}),
                    blur_, tiling.reach_x, tiling.reach_y, d_map(*result.d_key));
        return;
    }
    const Tensor d_coarse = own(*result.d_coarse);
    host_.run("pcdc_collect_cells", {{"frames", unfolded(records, layout.frame(),
                                                         {layout.frame_rows, layout.frame_columns, channels.padded})},
                                     {"first_column", cells_->first_column},
                                     {"first_row", cells_->first_row},
                                     {"width", d_coarse.sizes[3]},
                                     {"height", d_coarse.sizes[2]},
                                     {"d_coarse", d_coarse}});
}

void Call::collect_map(const Tensor &frames, double blur, int64_t reach_x, int64_t reach_y, const Tensor &d_map) const {
    if (host_.backend() == Backend::Cpu && blur == 0 && reach_x == 0 && reach_y == 0) {
        host_.run("pcdc_collect_tiles", {{"frames", frames},
                                         {"row_of", tiling.row_of},
                                         {"phase_of", tiling.phase_of},
                                         {"width", tiling.W},
                                         {"phase_rows", tiling.rows()},
                                         {"d_map", d_map}});
        return;
    }
    host_.run("pcdc_collect", {{"frames", frames},
                               {"row_of", tiling.row_of},
                               {"phase_of", tiling.phase_of},
                               {"blur", blur},
                               {"reach_x", reach_x},
                               {"reach_y", reach_y},
                               {"width", tiling.W},
                               {"phase_rows", tiling.rows()},
                               {"d_map", d_map}});
}

}  // namespace upwell::pcdc
