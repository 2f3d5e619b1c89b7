// Whole calls of the PCDC kernels: buffers as they read them, and gradients taken out of the records that they write.
#pragma once

#include <array>
#include <deque>
#include <map>

#include "reference/pcdc.h"
#include "support/generator.h"
#include "support/memory.h"

namespace upwell::test {

using reference::Array, reference::Pcdc, reference::PcdcGradients, reference::PcdcInputs;

// An array in memory with a gap of NaN behind each of its lines, between guards.
template<class T> class Lines {
public:
    explicit Lines(const Array &a) : sizes(a.sizes), memory(spread(a), gapped()) {}
    explicit Lines(const std::vector<int> &sizes) : Lines(unwritten(sizes)) {}

    Halide::Buffer<> buffer() { return view(sizes, strides()); }

    // Of a map x, y, ...: x, row, phase, ...
    Halide::Buffer<> phases(int step) {
        std::vector<int> extents = sizes, stride = strides();
        extents[1] /= step;
        extents.insert(extents.begin() + 2, step);
        stride.insert(stride.begin() + 1, stride[1] * step);
        return view(extents, stride);
    }

    // A record's part from `first` on: the part's dimensions in place of the record's one.
    Halide::Buffer<> part(int first, const std::vector<int> &part_sizes) {
        std::vector<int> extents = part_sizes, stride{1}, own = strides();
        for (const int size : part_sizes) {
            stride.push_back(stride.back() * size);
        }
        stride.pop_back();
        extents.insert(extents.end(), sizes.begin() + 1, sizes.end());
        stride.insert(stride.end(), own.begin() + 1, own.end());
        return view(extents, stride, first);
    }

    Array array() const {
        if (!memory.guards_hold()) {
            throw std::logic_error("written outside an output");
        }
        Array a(sizes);
        const std::vector<double> all = memory.values();
        for (size_t k = 0; k < all.size(); k++) {
            const size_t line = k / (sizes[0] + gap), x = k % (sizes[0] + gap);
            if (int(x) < sizes[0]) {
                a.values[line * sizes[0] + x] = all[k];
            } else if (!std::isnan(all[k])) {
                throw std::logic_error("written between the lines of an output");
            }
        }
        return a;
    }

private:
    static constexpr int gap = 4;  // a GPU reads weights by fours

    static Array unwritten(const std::vector<int> &sizes) {
        Array a(sizes);
        std::fill(a.values.begin(), a.values.end(), NAN);
        return a;
    }

    static std::vector<double> spread(const Array &a) {
        std::vector<double> values;
        for (size_t k = 0; k < a.values.size(); k++) {
            values.push_back(a.values[k]);
            if ((k + 1) % a.sizes[0] == 0) {
                values.insert(values.end(), gap, NAN);
            }
        }
        return values;
    }

    std::vector<int> gapped() const {
        std::vector<int> all = sizes;
        all[0] += gap;
        return all;
    }

    std::vector<int> strides() const {
        std::vector<int> result{1};
        for (const int size : gapped()) {
            result.push_back(result.back() * size);
        }
        result.pop_back();
        return result;
    }

    Halide::Buffer<> view(const std::vector<int> &extents, const std::vector<int> &stride, int first = 0) {
        std::vector<halide_dimension_t> shape;
        for (size_t d = 0; d < extents.size(); d++) {
            shape.emplace_back(0, extents[d], stride[d]);
        }
        Halide::Buffer<T> start(memory.buffer());
        return Halide::Buffer<T>(start.data() + first, int(shape.size()), shape.data());
    }

    std::vector<int> sizes;
    Memory<T> memory;
};

// With zeros behind each line.
inline Array padded(const Array &a, int width) {
    std::vector<int> sizes = a.sizes;
    sizes[0] = width;
    Array result(sizes);
    for (size_t k = 0; k < a.values.size(); k++) {
        result.values[k / a.sizes[0] * width + k % a.sizes[0]] = a.values[k];
    }
    return result;
}

// compress (m, o, g) as o, m, g.
inline Array transposed(const Pcdc &q, const Array &compress) {
    Array result({q.L, q.M, q.G});
    for (int g = 0; g < q.G; g++) {
        for (int m = 0; m < q.M; m++) {
            for (int o = 0; o < q.L; o++) {
                result(o, m, g) = compress(m, o, g);
            }
        }
    }
    return result;
}

// t, o, g, n: i + E * tap of the key, then i of the query.
inline Array back_weight(const Pcdc &q, const PcdcInputs &in) {
    Array result({q.E * (q.taps() + 1), q.L, q.G, q.N});
    for (int n = 0; n < q.N; n++) {
        for (int g = 0; g < q.G; g++) {
            for (int o = 0; o < q.L; o++) {
                for (int i = 0; i < q.E; i++) {
                    for (int tap = 0; tap < q.taps(); tap++) {
                        result(i + q.E * tap, o, g, n) = in.key_weight(o, i, tap, g, n);
                    }
                    result(i + q.E * q.taps(), o, g, n) = in.query_weight(o, i, g, n);
                }
            }
        }
    }
    return result;
}

inline Halide::Callable &kernel(const std::string &name, int bits, const Halide::GeneratorParamsMap &more,
                                const Halide::Target &target) {
    static Strict strict;
    static std::map<std::string, Halide::Callable> kernels;
    Halide::set_custom_compile_time_error_reporter(&strict);
    Halide::GeneratorParamsMap parameters{{"type", "float" + std::to_string(bits)}};
    parameters.insert(more.begin(), more.end());
    std::string id = name + std::to_string(bits) + target.to_string();
    for (const auto &[parameter, value] : more) {
        id += " " + parameter + "=" + value;
    }
    if (kernels.count(id) == 0) {
        kernels[id] = Halide::create_callable_from_generator(target, name, parameters);
    }
    return kernels[id];
}

inline int largest(const std::vector<int> &offsets) {
    int reach = 0;
    for (const int offset : offsets) {
        reach = std::max(reach, std::abs(offset));
    }
    return reach;
}

struct Frame {
    std::vector<int> first;  // cell of each tile
    int size = 0;            // most cells that a tile reads
    Frame(const std::vector<int> &cells, int tile) {
        for (size_t p = 0; p < cells.size(); p++) {
            if (p % tile == 0) {
                first.push_back(cells[p]);
            }
            size = std::max(size, cells[p] + 2 - first.back());
        }
    }
};

// Calls of one problem's kernels.
template<class T> class Kernels {
public:
    Kernels(const Pcdc &q, const PcdcInputs &in, Halide::GeneratorParamsMap parameters = {},
            Halide::Target target = Halide::get_host_target())
        : q(q), in(in), parameters(std::move(parameters)), target(std::move(target)),
          width(int(pcdc::padded_channels(q.L, q.M))), reach_x(largest(q.tap_columns)), reach_y(largest(q.tap_rows)),
          frame_x(in.cell_x, q.tile.columns), frame_y(in.cell_y, q.tile.rows) {}

    Array difference() {  // x, y, o, g, n
        Lines<T> output({q.W, q.H(), q.L, q.G, q.N});
        call("pcdc", output.phases(q.step));
        return output.array();
    }

    Array statistics() {
        Lines<T> output({width, 2, q.G, q.tiles_x(), q.tiles_y(), q.step, q.N});
        call_hidden("statistics", output.buffer());
        return output.array();
    }

    Array scores() {
        Lines<T> output(in.d_scores.sizes);
        call_hidden("scores", wide(in.centre), given(padded(in.score_weight, int(pcdc::padded_scores(q.K)))),
                    given(padded(in.score_bias, int(pcdc::padded_scores(q.K)))), output.phases(q.step));
        return output.array();
    }

    Array moments() {
        Lines<T> output({width, q.K, q.G, q.tiles_x(), q.tiles_y(), q.step, q.N});
        call_hidden("moments", wide(in.centre), phases(in.d_scores), output.buffer());
        return output.array();
    }

    Lines<T> difference_record(const Array &d_output) {  // x, y, o, g, n
        Lines<T> output(record_sizes());
        call("pcdc_backward", phases(d_output), spread(), output.buffer());
        return output;
    }

    Lines<T> scores_record() {
        Lines<T> output(record_sizes(q.L + 1));
        call_hidden("scores_backward", wide(in.centre), phases(in.d_scores), wide(in.d_hidden_weight),
                    wide(in.d_hidden_offset), wide(in.d_hidden_slope), wide(transposed(q, in.compress)), spread(),
                    output.buffer());
        return output;
    }

    // Hidden channels as they are kept, o, x, row, phase, g, n, and what is made of them.
    Array hidden() {
        Lines<T> output({width, q.W, q.rows, q.step, q.G, q.N});
        call_hidden("hidden", output.buffer());
        return output.array();
    }
    Array statistics_of(const Array &hidden) {
        Lines<T> output({width, 2, q.G, q.tiles_x(), q.tiles_y(), q.step, q.N});
        run("pcdc_hidden_statistics", given(hidden), output.buffer());
        return output.array();
    }
    Array scores_of(const Array &hidden) {
        Lines<T> output(in.d_scores.sizes);
        run("pcdc_hidden_scores", given(hidden), wide(in.centre),
            given(padded(in.score_weight, int(pcdc::padded_scores(q.K)))),
            given(padded(in.score_bias, int(pcdc::padded_scores(q.K)))), output.phases(q.step));
        return output.array();
    }
    Array moments_of(const Array &hidden) {
        Lines<T> output({width, q.K, q.G, q.tiles_x(), q.tiles_y(), q.step, q.N});
        run("pcdc_hidden_moments", given(hidden), wide(in.centre), phases(in.d_scores), output.buffer());
        return output.array();
    }
    Lines<T> scores_record_of(const Array &hidden) {
        Lines<T> output(record_sizes(q.L + 1));
        call(q.upsampled() ? "pcdc_upsampled_hidden_scores_backward" : "pcdc_hidden_scores_backward", T(q.floor),
             given(hidden), wide(in.centre), phases(in.d_scores), wide(in.d_hidden_weight), wide(in.d_hidden_offset),
             wide(in.d_hidden_slope), wide(transposed(q, in.compress)), spread(), output.buffer());
        return output;
    }

    // hidden: 0, or L + 1, columns of the compressor.
    PcdcGradients gradients(Lines<T> record, int hidden) {
        const int columns = q.E * (q.taps() + 1) + 1 + hidden, query = width * columns,
                  frame = query + q.E * q.tile.columns * q.tile.rows;
        const Array all = record.array();
        PcdcGradients d;
        sum_weights(d, all, hidden);
        d.query = Array(in.query.sizes);
        reference::for_each_pixel(q, [&](int x, int y, int g, int n) {
            for (int i = 0; i < q.E; i++) {
                const int row = y / q.step,
                          at = x % q.tile.columns + q.tile.columns * (row % q.tile.rows + q.tile.rows * i);
                d.query(x, y, i + q.E * g, n) = all(query + at, g, q.tile_x(x), q.tile_y(y), y % q.step, n);
            }
        });
        if (q.upsampled()) {
            d.coarse = collect_cells(record.part(frame, {width, frame_x.size, frame_y.size}));
        } else {
            d.key = collect(record.part(frame, {q.tile.columns + 2 * reach_x, q.tile.rows + 2 * reach_y, q.E}));
        }
        return d;
    }

    // tiles: frames that do not overlap, by the kernel for them.
    Array collect(const Halide::Buffer<> &frames, bool tiles = false) {
        std::vector<int> rows(q.H()), phase(q.H());
        for (int y = 0; y < q.H(); y++) {
            rows[y] = y / q.step;
            phase[y] = y % q.step;
        }
        Lines<T> output({q.W, q.H(), q.E, q.G, q.N});
        if (tiles) {
            run("pcdc_collect_tiles", frames, table(rows), table(phase), q.W, q.rows, output.buffer());
        } else {
            run("pcdc_collect", frames, table(rows), table(phase), T(q.side), reach_x, reach_y, q.W, q.rows,
                output.buffer());
        }
        Array map = output.array();
        map.sizes = {q.W, q.H(), q.E * q.G, q.N};
        return map;
    }

private:
    Halide::Buffer<> given(const Array &a) { return memory.emplace_back(a).buffer(); }
    Halide::Buffer<> wide(const Array &a) { return given(padded(a, width)); }
    Halide::Buffer<> phases(const Array &map) { return memory.emplace_back(map).phases(q.step); }
    Halide::Buffer<> spread() {
        return given(padded(back_weight(q, in), int(pcdc::padded_back_columns(q.E * (q.taps() + 1)))));
    }
    static Halide::Buffer<int> table(std::vector<int> values) {
        return Halide::Buffer<int>(values.data(), int(values.size())).copy();
    }
    Halide::Buffer<> table(const std::vector<double> &values) {
        Array a({int(values.size())});
        a.values = values;
        return given(a);
    }

    // parameters are the passes'.
    Halide::Callable &get(const std::string &name) {
        const bool is_pass = name.rfind("pcdc_collect", 0) != 0;
        return kernel(name, 8 * sizeof(T), is_pass ? parameters : Halide::GeneratorParamsMap(), target);
    }

    // Runs a kernel, on a device where the target has one: then its output, the last argument, comes back.
    template<class... All> void run(const std::string &name, const All &...all) {
        (give(all), ...);
        Halide::Buffer<> output = std::get<sizeof...(All) - 1>(std::tie(all...));
        output.set_host_dirty(false);
        get(name)(all...);
        if (target.has_gpu_feature() && !output.device_dirty()) {
            throw std::logic_error(name + " did not run on the device");
        }
        output.copy_to_host();
    }

    // Marks a buffer as one that a device has not seen.
    template<class Argument> static void give(const Argument &argument) {
        if constexpr (!std::is_arithmetic_v<Argument>) {
            Halide::Buffer<> buffer = argument;
            buffer.set_host_dirty();
        }
    }

    template<class... Tail> void call(const std::string &name, const Tail &...tail) {
        if (q.upsampled()) {
            run(name, wide(in.coarse), table(in.cell_x), table(in.cell_y), table(in.way_x), table(in.way_y),
                frame_x.size, frame_y.size, given(in.query), given(in.query_centre), wide(in.query_weight),
                wide(in.bias), q.rows, q.step, tail...);
        } else {
            run(name, given(in.key), given(in.key_centre), wide(in.key_weight), table(q.tap_columns), table(q.tap_rows),
                T(q.side), reach_x, reach_y, given(in.query), given(in.query_centre), wide(in.query_weight),
                wide(in.bias), q.rows, q.step, tail...);
        }
    }

    template<class... Tail> void call_hidden(const std::string &pass, const Tail &...tail) {
        call((q.upsampled() ? "pcdc_upsampled_" : "pcdc_") + pass, T(q.floor), wide(in.compress),
             wide(in.compress_bias), tail...);
    }

    std::vector<int> record_sizes(int hidden = 0) const {
        const int frame = q.upsampled() ? width * frame_x.size * frame_y.size
                                        : q.E * (q.tile.columns + 2 * reach_x) * (q.tile.rows + 2 * reach_y);
        return {width * (q.E * (q.taps() + 1) + 1 + hidden) + q.E * q.tile.columns * q.tile.rows + frame,
                q.G,
                q.tiles_x(),
                q.tiles_y(),
                q.step,
                q.N};
    }

    // Sums over tiles of the columns that a record starts with.
    void sum_weights(PcdcGradients &d, const Array &record, int hidden) {
        int column = 0;
        const auto take = [&](int columns) {
            Array sum({width, columns, q.G, q.N});
            const int lines = q.G * q.tiles_x() * q.tiles_y() * q.step * q.N;
            for (int line = 0; line < lines; line++) {
                const double *values = &record.values[size_t(line) * record.sizes[0] + column * width];
                for (int k = 0; k < columns; k++) {
                    for (int o = 0; o < width; o++) {
                        sum(o, k, line % q.G, line / (lines / q.N)) += values[k * width + o];
                    }
                }
            }
            column += columns;
            return sum;
        };
        d.key_weight = take(q.E * q.taps());
        d.query_weight = take(q.E);
        d.bias = take(1);
        if (hidden > 0) {
            d.compress = take(q.L);
            d.compress_bias = take(1);
        }
    }

    Array collect_cells(const Halide::Buffer<> &frames) {
        Lines<T> output({width, q.w + 2, q.h + 2, q.G, q.N});
        run("pcdc_collect_cells", frames, table(frame_x.first), table(frame_y.first), q.w + 2, q.h + 2,
            output.buffer());
        return output.array();
    }

    const Pcdc &q;
    const PcdcInputs &in;
    Halide::GeneratorParamsMap parameters;
    Halide::Target target;
    int width, reach_x, reach_y;
    Frame frame_x, frame_y;
    std::deque<Lines<T>> memory;
};

}  // namespace upwell::test
