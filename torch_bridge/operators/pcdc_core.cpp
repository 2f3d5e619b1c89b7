#include "pcdc_core.h"

#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "../gaussian.h"
#include "../kernel.h"
#include "../per_channel.h"

namespace upwell::bridge::pcdc {
namespace {

constexpr double norm_eps = 1e-5;  // torch's own

std::vector<Offset> taps_of(const CoreOptions &options) {
    std::vector<Offset> taps;
    for (size_t i = 0; i < options.tap_rows.size(); i++) {
        taps.push_back({options.tap_rows[i], options.tap_columns[i]});
    }
    return taps;
}

// The transpose of the difference's weights: N,G,L/G,columns, padded to whole blocks.
Tensor back_weight(const Tensor &key_weight, const Tensor &query_weight, int64_t groups) {
    const Tensor query = query_weight.unflatten(1, {groups, -1});
    Tensor all = query;
    if (key_weight.defined()) {
        all = at::cat({key_weight.unflatten(1, {groups, -1}).transpose(3, 4).flatten(3), query}, 3);
    }
    return pad_last(all, (all.size(3) + 15) / 16 * 16);
}

// What all passes of a call have in common, in the form that kernels read.
struct Call {
    Call(const Tensor &key, const Tensor &key_centre, const Tensor &key_weight, const Tensor &query,
         const Tensor &query_centre, const Tensor &query_weight, const Tensor &bias, const Widths &widths,
         const std::vector<Offset> &taps, bool blur)
        : tiling(query, taps), widths(widths), side(gaussian_side(blur)), channels(query.size(1) / widths.groups),
          taps(static_cast<int64_t>(taps.size())), like(query) {
        const auto pack = [&](const Tensor &weight) { return channels_last(weight, widths.groups, widths.padded); };
        if (key_weight.defined()) {
            this->key = key.contiguous();
            this->key_centre = key_centre.contiguous();
            this->key_weight = pack(key_weight).transpose(2, 3).contiguous();  // N,G,T,E,L'
        } else {
            cells = std::make_unique<Cells>(tiling, key.size(2) - 2, key.size(3) - 2, key);
            this->key = pack(key);  // N,G,h + 2,w + 2,L'
        }
        this->query = query.contiguous();
        this->query_centre = query_centre.contiguous();
        this->query_weight = pack(query_weight);
        this->bias = pack(bias);
    }

    // Runs pcdc_<pass> or pcdc_upsampled_<pass> with these arguments and then those of the pass.
    void run(const std::string &pass, std::vector<Given> rest) const {
        std::vector<Given> arguments;
        if (cells) {
            arguments = {key,
                         cells->columns,
                         cells->rows,
                         cells->column_fraction,
                         cells->row_fraction,
                         cells->frame_columns,
                         cells->frame_rows};
        } else {
            arguments = {key,  key_centre,     key_weight,    tiling.tap_columns, tiling.tap_rows,
                         side, tiling.reach_x, tiling.reach_y};
        }
        for (const Given &argument :
             std::vector<Given>{query, query_centre, query_weight, bias, tiling.rows(), tiling.step}) {
            arguments.push_back(argument);
        }
        arguments.insert(arguments.end(), rest.begin(), rest.end());
        run_kernel_on((cells ? "pcdc_upsampled" : "pcdc") + pass, like, arguments);
    }

    Record make_record(int64_t columns) const {
        const int64_t frame = cells ? widths.padded * cells->frame_columns * cells->frame_rows
                                    : channels * tiling.frame_columns() * tiling.frame_rows();
        return Record(tiling, widths, columns, channels, frame, like.options());
    }

    Tensor collect(const Tensor &frames, double blur_side, int64_t reach_x, int64_t reach_y) const {
        const Tensor d_map = at::empty_like(like, at::MemoryFormat::Contiguous);
        run_kernel_on("pcdc_collect", like,
                      {frames, tiling.row_of, tiling.phase_of, blur_side, reach_x, reach_y, tiling.W, tiling.rows(),
                       d_map.unflatten(1, {widths.groups, channels})});
        return d_map;
    }

    Tensor d_query(const Record &record) const { return collect(record.query(), 0, 0, 0); }

    Tensor d_key(const Record &record) const {
        if (!cells) {
            const Tensor frames = record.frame({channels, tiling.frame_rows(), tiling.frame_columns()});
            return collect(frames, side, tiling.reach_x, tiling.reach_y);
        }
        const Tensor d_key = at::empty_like(key);
        run_kernel_on("pcdc_collect_cells", like,
                      {record.frame({cells->frame_rows, cells->frame_columns, widths.padded}), cells->first_column,
                       cells->first_row, key.size(3), key.size(2), d_key});
        return d_key.narrow(-1, 0, widths.before).movedim(-1, 2).flatten(1, 2);
    }

    Tiling tiling;
    Widths widths;
    double side;
    int64_t channels, taps;  // channels: of a group, of key and query
    Tensor like, key, key_centre, key_weight, query, query_centre, query_weight, bias;
    std::unique_ptr<Cells> cells;
};

// Gradients of the weights: N,G,columns,padded -> those of the key, the query and the bias, without padding.
struct WeightGradients {
    WeightGradients(const Tensor &columns, const Call &call) {
        const int64_t E = call.channels, key_columns = call.cells ? 0 : E * call.taps;
        const auto outputs = [&](int64_t start, int64_t count) {
            return columns.narrow(2, start, count).narrow(3, 0, call.widths.before).transpose(2, 3).flatten(1, 2);
        };
        if (!call.cells) {
            key = outputs(0, key_columns).unflatten(2, {call.taps, E}).transpose(2, 3).contiguous();
        }
        query = outputs(key_columns, E).contiguous();
        bias = outputs(key_columns + E, 1).squeeze(2).contiguous();
        next = key_columns + E + 1;
    }

    Tensor key, query, bias;  // N,L,E,T and N,L,E and N,L
    int64_t next;             // the first column behind them
};

// The core's call and what its passes after the difference need.
struct CoreCall {
    CoreCall(const CoreInputs &in, const CoreOptions &options)
        : in(in), options(options), L(in.query_weight.size(1)), M(in.compress_weight.size(0)),
          K(in.score_weight.size(0)),
          call(in.key, in.key_centre, in.key_weight, in.query, in.query_centre, in.query_weight, in.bias,
               Widths(options.groups, L / options.groups, M / options.groups), taps_of(options), options.blur) {
        const int64_t G = options.groups;
        floor = options.relu ? 0 : -std::numeric_limits<float>::max();
        compress = pad_last(in.compress_weight.reshape({G, M / G, L / G}).transpose(1, 2), padded());
        compress_bias = pad_last(in.compress_bias.reshape({G, M / G}), padded());
    }

    int64_t padded() const { return call.widths.padded; }

    // N,M -> N,G,M'.
    Tensor pack_hidden(const Tensor &x) const { return channels_last(x, options.groups, padded()); }

    void run(const std::string &pass, std::vector<Given> rest) const {
        rest.insert(rest.begin(), {floor, compress, compress_bias});
        call.run(pass, rest);
    }

    const CoreInputs &in;
    const CoreOptions &options;
    int64_t L, M, K;
    Call call;
    double floor;
    Tensor compress, compress_bias;
};

// Mean and rstd of the hidden channels' groups: those of tiles (N,step,ty,tx,G,2,M') put together, in double.
std::pair<Tensor, Tensor> combine(const Tensor &of_tiles, const CoreCall &core) {
    const int64_t groups = core.options.norm_groups;
    const Tensor tiles =
        of_tiles.flatten(1, 3).narrow(-1, 0, core.M / core.options.groups).to(at::kDouble).movedim(3, 0);
    const auto grouped = [&](int64_t kind) { return tiles[kind].flatten(2).unflatten(2, {groups, -1}); };
    const Tensor means = grouped(0), squares = grouped(1);  // N,tiles,groups,channels
    const Tensor pixels = core.call.tiling.pixels(tiles).view({-1, 1, 1});
    const double count = static_cast<double>(core.call.tiling.H * core.call.tiling.W * means.size(3));
    const Tensor mean = (means * pixels).sum({1, 3}) / count;
    const Tensor apart = means - mean.unsqueeze(1).unsqueeze(3);
    const Tensor variance = (squares + apart.square() * pixels).sum({1, 3}) / count;
    const at::ScalarType type = of_tiles.scalar_type();
    return {mean.to(type), (variance + norm_eps).rsqrt().to(type)};
}

}  // namespace

CoreInputs::CoreInputs(at::TensorList list)
    : key(list[0]), query(list[1]), query_centre(list[2]), query_weight(list[3]), bias(list[4]),
      compress_weight(list[5]), compress_bias(list[6]), hidden_weight(list[7]), hidden_bias(list[8]),
      score_weight(list[9]), score_bias(list[10]) {
    if (list.size() > 11) {
        key_centre = list[11];
        key_weight = list[12];
    }
}

CoreOutputs core_forward(const CoreInputs &in, const CoreOptions &options) {
    const CoreCall core(in, options);
    const Tiling &tiling = core.call.tiling;
    const Tensor of_tiles =
        at::empty({tiling.N, tiling.step, tiling.tiles_y(), tiling.tiles_x(), options.groups, 2, core.padded()},
                  in.query.options());
    core.run("_statistics", {of_tiles});
    const auto [mean, rstd] = combine(of_tiles, core);
    const Tensor weight = in.score_weight * (in.hidden_weight * per_channel(rstd, core.M)).unsqueeze(1);  // N,K,M
    const Tensor packed = weight.unflatten(2, {options.groups, -1}).permute({0, 2, 3, 1});
    const Tensor bias = (in.score_bias + in.score_weight.matmul(in.hidden_bias)).expand({tiling.N, -1});
    const int64_t padded = (core.K + 15) / 16 * 16;
    const Tensor scores = at::empty({tiling.N, core.K, tiling.H, tiling.W}, in.query.options());
    core.run("_scores", {core.pack_hidden(per_channel(mean, core.M)), pad_last(packed, padded), pad_last(bias, padded),
                         tiling.phased(scores)});
    return {scores, mean, rstd};
}

namespace {

// d_h at a pixel: weight d_scores + offset + slope (h - centre). N,M; weight N,K,M.
struct HiddenGradient {
    Tensor centre, weight, offset, slope;
};

// Gradients of what the tiles' second pass finds.
struct Adjoint {
    Tensor key, query, key_weight, query_weight, bias, compress_weight, compress_bias;
};

Adjoint run_adjoint(const CoreInputs &in, const CoreOptions &options, const Tensor &d_scores,
                    const HiddenGradient &hidden) {
    const CoreCall core(in, options);
    const int64_t G = options.groups, each = core.M / G, before = core.L / G;
    const Record record = core.call.make_record(core.call.channels * (core.call.taps + 1) + 1 + before + 1);
    core.run("_scores_adjoint", {core.pack_hidden(hidden.centre), core.call.tiling.phased(d_scores),
                                 pad_last(hidden.weight.unflatten(2, {G, -1}).transpose(1, 2), core.padded()),
                                 core.pack_hidden(hidden.offset), core.pack_hidden(hidden.slope),
                                 pad_last(in.compress_weight.reshape({G, each, before}), core.padded()),
                                 back_weight(in.key_weight, in.query_weight, G), record.values});
    const Tensor gradients = record.weights();  // N,G,columns,M'
    const WeightGradients d(gradients, core.call);
    const Tensor compressor = gradients.narrow(3, 0, each).sum(0);  // G,columns,M/G
    return {core.call.d_key(record),
            core.call.d_query(record),
            d.key,
            d.query,
            d.bias,
            compressor.narrow(1, d.next, before).transpose(1, 2).flatten(0, 1).contiguous(),
            compressor.select(1, d.next + before).flatten()};
}

// One sample and one of the groups.
struct Part {
    int64_t sample, group, groups;

    Tensor samples(const Tensor &x) const { return x.narrow(0, sample, 1); }
    // Channels of this part's group along an axis.
    Tensor channels(const Tensor &x, int64_t axis) const {
        return x.narrow(axis, group * (x.size(axis) / groups), x.size(axis) / groups);
    }
    Tensor both(const Tensor &x, int64_t axis) const { return x.defined() ? channels(samples(x), axis) : x; }

    CoreInputs inputs(const CoreInputs &in) const {
        CoreInputs part = in;
        part.key = both(in.key, 1);
        part.query = both(in.query, 1);
        part.query_centre = both(in.query_centre, 1);
        part.query_weight = both(in.query_weight, 1);
        part.bias = both(in.bias, 1);
        part.key_centre = both(in.key_centre, 1);
        part.key_weight = both(in.key_weight, 1);
        part.compress_weight = channels(in.compress_weight, 0);
        part.compress_bias = channels(in.compress_bias, 0);
        part.score_weight = channels(in.score_weight, 1);
        return part;
    }
};

// The same for large maps: group by group, so that records of all groups never exist at a time.
Adjoint run_adjoint_in_parts(const CoreInputs &in, const CoreOptions &options, const Tensor &d_scores,
                             const HiddenGradient &hidden) {
    const auto like = [](const Tensor &x) { return x.defined() ? at::empty_like(x, at::MemoryFormat::Contiguous) : x; };
    const Adjoint whole{like(in.key),
                        like(in.query),
                        like(in.key_weight),
                        like(in.query_weight),
                        like(in.bias),
                        at::zeros_like(in.compress_weight),
                        at::zeros_like(in.compress_bias)};
    CoreOptions one = options;
    one.groups = 1;
    for (int64_t sample = 0; sample < in.query.size(0); sample++) {
        for (int64_t group = 0; group < options.groups; group++) {
            const Part part{sample, group, options.groups};
            const Adjoint d = run_adjoint(part.inputs(in), one, part.samples(d_scores),
                                          {part.both(hidden.centre, 1), part.both(hidden.weight, 2),
                                           part.both(hidden.offset, 1), part.both(hidden.slope, 1)});
            part.both(whole.key, 1).copy_(d.key);
            part.both(whole.query, 1).copy_(d.query);
            part.both(whole.query_weight, 1).copy_(d.query_weight);
            part.both(whole.bias, 1).copy_(d.bias);
            if (d.key_weight.defined()) {
                part.both(whole.key_weight, 1).copy_(d.key_weight);
            }
            part.channels(whole.compress_weight, 0).add_(d.compress_weight);
            part.channels(whole.compress_bias, 0).add_(d.compress_bias);
        }
    }
    return whole;
}

constexpr int64_t most_pixels_at_once = 1 << 18;  // of all samples; their records take some 90 MB in float32

}  // namespace

std::vector<Tensor> core_backward(const Tensor &d_scores, const Tensor &mean, const Tensor &rstd, const CoreInputs &in,
                                  const CoreOptions &options) {
    const CoreCall core(in, options);
    const Tiling &tiling = core.call.tiling;
    const int64_t G = options.groups, M = core.M;
    const Tensor dense = d_scores.contiguous();
    const Tensor mean_of = per_channel(mean, M), rstd_of = per_channel(rstd, M);  // N,M

    // sum over pixels of d_score (h - mean), and of d_score.
    const Tensor of_tiles = at::empty(
        {tiling.N, tiling.step, tiling.tiles_y(), tiling.tiles_x(), G, core.K, core.padded()}, in.query.options());
    core.run("_moments", {core.pack_hidden(mean_of), tiling.phased(dense), of_tiles});
    const Tensor moments = of_tiles.sum({1, 2, 3}).narrow(-1, 0, M / G).transpose(1, 2).flatten(2);  // N,K,M
    const Tensor sums = dense.sum({2, 3});                                                           // N,K

    // The normalisation's gradient at a pixel: rstd (gamma d - mean(gamma d) - h^ mean(gamma d h^)), h^ = (h - mean)
    // rstd.
    const Tensor through = (in.score_weight * moments).sum(1) * rstd_of;  // N,M: sum of d h^
    const Tensor plain = sums.matmul(in.score_weight);                    // N,M: sum of d
    const double count = static_cast<double>(tiling.H * tiling.W * (M / options.norm_groups));
    const auto mean_of_group = [&](const Tensor &x) {
        return per_channel((x * in.hidden_weight).unflatten(1, {options.norm_groups, -1}).sum(2) / count, M);
    };
    const HiddenGradient hidden{mean_of, in.score_weight * (in.hidden_weight * rstd_of).unsqueeze(1),
                                -rstd_of * mean_of_group(plain), -rstd_of.square() * mean_of_group(through)};
    const bool large = tiling.N * tiling.H * tiling.W > most_pixels_at_once;
    const Adjoint d =
        large ? run_adjoint_in_parts(in, options, dense, hidden) : run_adjoint(in, options, dense, hidden);

    const Tensor d_score_weight =
        (moments * (in.hidden_weight * rstd_of).unsqueeze(1)).sum(0) + sums.sum(0).unsqueeze(1) * in.hidden_bias;
    std::vector<Tensor> result{d.key,        d.query,           Tensor(),        d.query_weight,
                               d.bias,       d.compress_weight, d.compress_bias, through.sum(0),
                               plain.sum(0), d_score_weight,    sums.sum(0)};
    if (!in.upsampled()) {
        result.insert(result.end(), {Tensor(), d.key_weight});
    }
    return result;
}

namespace {

Call difference_call(const DifferenceInputs &in, int64_t groups, const std::vector<Offset> &taps) {
    const Tensor centre = at::zeros({in.query.size(0), in.query.size(1)}, in.query.options());
    const int64_t outputs = in.query_weight.size(1) / groups;
    return Call(in.key, centre, in.key_weight, in.query, centre, in.query_weight, in.bias,
                Widths(groups, outputs, outputs), taps, false);
}

}  // namespace

Tensor difference_forward(const DifferenceInputs &in, int64_t groups, const std::vector<Offset> &taps) {
    const Call call = difference_call(in, groups, taps);
    const Tensor output =
        at::empty({call.tiling.N, in.query_weight.size(1), call.tiling.H, call.tiling.W}, in.query.options());
    call.run("", {call.tiling.phased(output).unflatten(1, {groups, -1})});
    return output;
}

std::vector<Tensor> difference_backward(const Tensor &d_output, const DifferenceInputs &in, int64_t groups,
                                        const std::vector<Offset> &taps) {
    const Call call = difference_call(in, groups, taps);
    const Record record = call.make_record(call.channels * (call.taps + 1) + 1);
    const Tensor dense = d_output.contiguous();
    call.run("_adjoint", {call.tiling.phased(dense).unflatten(1, {groups, -1}),
                          back_weight(in.key_weight, in.query_weight, groups), record.values});
    const WeightGradients d(record.weights(), call);
    return {call.d_key(record), call.d_query(record), d.key, d.query, d.bias};
}

}  // namespace upwell::bridge::pcdc
