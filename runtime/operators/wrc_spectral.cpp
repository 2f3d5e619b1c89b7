// Some planes at a time: their scratch stays small, and most of it in cache.
#include "operators/wrc_spectral.h"

#include <algorithm>
#include <cmath>

#include "operator_call.h"
#include "views.h"

namespace upwell {
namespace {

// The same for any number of threads: what a transform rounds may depend on how many planes there are.
constexpr int64_t cpu_chunk_pixels = int64_t(1) << 20, gpu_chunk_pixels = int64_t(1) << 24;

// What a weight's taps, `centre` the one at the origin, add to the first `count` frequencies of an image side.
std::vector<double> waves(int64_t taps, int64_t centre, int64_t side, int64_t count) {
    std::vector<double> values;
    values.reserve(2 * taps * count);
    for (int64_t tap = 0; tap < taps; tap++) {
        for (int64_t frequency = 0; frequency < count; frequency++) {
            const double turns = static_cast<double>(frequency * (tap - centre) % side) / static_cast<double>(side);
            values.push_back(std::cos(2 * M_PI * turns));
            values.push_back(-std::sin(2 * M_PI * turns));
        }
    }
    return values;
}

// Where a column of a half spectrum finds its low-res one: in 0 .. w / 2, as it is or as the negative frequency.
std::vector<int> low_columns(int64_t half, int64_t w) {
    std::vector<int> column, turned;
    for (int64_t x = 0; x < half; x++) {
        turned.push_back(x % w > w / 2);
        column.push_back(static_cast<int>(turned.back() ? w - x % w : x % w));
    }
    column.insert(column.end(), turned.begin(), turned.end());
    return column;
}

// Planes first .. first + count of all.
struct Chunk {
    int64_t first, count;

    // Theirs of a contiguous tensor, in sizes of one plane.
    Tensor of(const Tensor &planes, std::vector<int64_t> sizes) const {
        sizes.insert(sizes.begin(), first + count);
        Tensor own = narrowed(reshaped(planes, sizes), 0, first, count);
        own.strides.clear();
        return own;
    }
    // In scratch that is used again for every chunk.
    Tensor in(const Tensor &scratch, std::vector<int64_t> sizes) const { return Chunk{0, count}.of(scratch, sizes); }
};

// One call: the sizes of a plane, and what all of them share.
struct Solver {
    Solver(Host &host, const WrcProblem &problem, WrcCentre centre)
        : host(host), problem(problem), N(problem.data.sizes[0]), C(problem.data.sizes[1]), scale(problem.scale),
          h(problem.data.sizes[2]), w(problem.data.sizes[3]), H(h * scale), W(w * scale), half(W / 2 + 1),
          rows(problem.weight.sizes[1]), columns(problem.weight.sizes[2]),
          at_once(std::clamp<int64_t>((host.waits_for_device() ? gpu_chunk_pixels : cpu_chunk_pixels) / (H * W), 1,
                                      N * C)) {
        const bool of_image = centre == WrcCentre::Image;
        column_waves = host.table(waves(columns, (of_image ? W : columns) / 2, W, half), {columns, half, 2});
        row_waves = host.table(waves(rows, (of_image ? H : rows) / 2, H, H), {rows, scale, h, 2});
        low = host.table(low_columns(half, w), {2, half});
        weights = host.scratch({N, C, rows, columns});
        host.contract({weights, "ncyx"}, {problem.weight, "cyx"});
    }

    // Maps and half spectra of the planes of a chunk; rows in blocks of h, as compiled kernels take them.
    std::vector<int64_t> map() const { return {H, W}; }
    std::vector<int64_t> low_map() const { return {h, w}; }
    std::vector<int64_t> spectrum() const { return {H, half, 2}; }
    std::vector<int64_t> low_spectrum() const { return {h, w / 2 + 1, 2}; }
    std::vector<int64_t> map_blocks() const { return {scale, h, W}; }
    std::vector<int64_t> spectrum_blocks() const { return {scale, h, half, 2}; }
    std::vector<int64_t> taps() const { return {rows, columns}; }

    Tensor scratch(std::vector<int64_t> sizes) const {
        sizes.insert(sizes.begin(), at_once);
        return host.scratch(sizes);
    }

    // Runs a compiled kernel with what both directions take, and its own arguments.
    void run(const std::string &compiled, const Chunk &chunk, std::vector<NamedArgument> own) const {
        own.insert(own.end(), {{"precision", chunk.of(problem.precision, map_blocks())},
                               {"data_weight", chunk.of(problem.data_weight, low_map())},
                               {"kernel", chunk.of(weights, taps())},
                               {"column_waves", column_waves},
                               {"row_waves", row_waves},
                               {"columns", low}});
        host.run(compiled, own);
    }

    template<class F> void in_chunks(const F &f) const {
        for (int64_t first = 0; first < N * C; first += at_once) {
            f(Chunk{first, std::min(at_once, N * C - first)});
        }
    }

    Host &host;
    const WrcProblem &problem;
    const int64_t N, C, scale, h, w, H, W, half, rows, columns, at_once;
    Tensor column_waves, row_waves, low, weights;
};

}  // namespace

void wrc_spectral(const WrcProblem &problem, const Tensor &weighted, WrcCentre centre, const Fourier &fourier,
                  const Tensor &spectrum, const Tensor &output, const Queue *queue) {
    Host host(problem.precision.dtype, queue);
    const Solver solver(host, problem, centre);
    const bool is_kept = spectrum.data != nullptr;
    const Tensor unkept = is_kept ? Tensor() : solver.scratch(solver.spectrum());
    const Tensor low_spectra = solver.scratch(solver.low_spectrum()), solved = solver.scratch(solver.spectrum());
    solver.in_chunks([&](const Chunk &chunk) {
        const auto given = [&](std::vector<int64_t> sizes) {
            return is_kept ? chunk.of(spectrum, sizes) : chunk.in(unkept, sizes);
        };
        const Tensor samples = chunk.in(low_spectra, solver.low_spectrum());
        fourier.forward(chunk.of(weighted, solver.map()), given(solver.spectrum()), false);
        fourier.forward(chunk.of(problem.data, solver.low_map()), samples, false);
        solver.run("wrc_spectral", chunk,
                   {{"spectrum", given(solver.spectrum_blocks())},
                    {"samples", samples},
                    {"output", chunk.in(solved, solver.spectrum_blocks())}});
        fourier.back(chunk.in(solved, solver.spectrum()), chunk.of(output, solver.map()), true);
    });
}

void wrc_spectral_backward(const WrcProblem &problem, WrcCentre centre, const Fourier &fourier, const Tensor &spectrum,
                          const Tensor &d_output, const WrcGradients &gradients, const Queue *queue) {
    Host host(problem.precision.dtype, queue);
    const Solver solver(host, problem, centre);
    const Tensor low_spectra = solver.scratch(solver.low_spectrum()), d_lows = solver.scratch(solver.low_spectrum()),
                 d_solved = solver.scratch(solver.spectrum()), d_spectra = solver.scratch(solver.spectrum()),
                 d_weights = host.scratch(solver.weights.sizes);
    solver.in_chunks([&](const Chunk &chunk) {
        const Tensor samples = chunk.in(low_spectra, solver.low_spectrum()),
                     d_samples = chunk.in(d_lows, solver.low_spectrum());
        fourier.forward(chunk.of(problem.data, solver.low_map()), samples, false);
        fourier.forward(chunk.of(d_output, solver.map()), chunk.in(d_solved, solver.spectrum()), true);
        solver.run("wrc_spectral_backward", chunk,
                   {{"spectrum", chunk.of(spectrum, solver.spectrum_blocks())},
                    {"samples", samples},
                    {"d_output", chunk.in(d_solved, solver.spectrum_blocks())},
                    {"d_spectrum", chunk.in(d_spectra, solver.spectrum_blocks())},
                    {"d_samples", d_samples},
                    {"d_precision", chunk.of(gradients.precision, solver.map_blocks())},
                    {"d_data_weight", chunk.of(gradients.data_weight, solver.low_map())},
                    {"d_kernel", chunk.of(d_weights, solver.taps())}});
        fourier.back(chunk.in(d_spectra, solver.spectrum()), chunk.of(gradients.weighted, solver.map()), false);
        fourier.back(d_samples, chunk.of(gradients.data, solver.low_map()), false);
    });
    host.contract({gradients.weight, "cyx"}, {d_weights, "ncyx"});
}

std::vector<Signature> describe_wrc_spectral() {
    static const auto centre_of = [](const OperatorCall &c) {
        return c.text("centre") == "image" ? WrcCentre::Image : WrcCentre::Kernel;
    };
    Signature op = wrc_signature(
        "wrc_spectral",
        "The published closed form of weighted reverse convolution (arXiv 2605.17472), by Fourier transforms. data: samples "
        "times their weight. centre: what the weight is rolled by half of, image (published) or kernel: itself.");
    op.options.insert(op.options.end(), {text("centre", {"image", "kernel"}), fourier()});
    op.outputs.push_back({"spectrum", "N,C,h*scale,w*scale/2+1,2", true});  // the half spectrum of weighted
    op.run = [](Host &, const OperatorCall &c) {
        wrc_spectral(wrc_problem(c), c.tensor("weighted"), centre_of(c), c.fourier(), c.tensor("spectrum"),
                     c.tensor("output"), c.queue);
    };
    Signature backward =
        add_backward(op, {"spectrum", "precision", "data_weight", "data", "weight"}, [](Host &, const OperatorCall &c) {
            wrc_spectral_backward(wrc_problem(c), centre_of(c), c.fourier(), c.tensor("spectrum"), c.tensor("d_output"),
                                 wrc_gradients(c), c.queue);
        });
    return {op, backward};
}

}  // namespace upwell
