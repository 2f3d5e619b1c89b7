#include "operators/guided_filter.h"

#include <algorithm>
#include <numeric>

#include "grid/reads.h"
#include "mirror.h"
#include "operator_call.h"
#include "pixel_sums.h"
#include "tensor.h"

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

bool has_mirrors(const Options &options) {
    return options.border != "inside" && box(options) > 0;
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

void run_filter(const std::string &op, Host &host, const Options &options, const Axis &rows, const Axis &columns,
                const std::vector<NamedArgument> &maps) {
    std::vector<NamedArgument> arguments;
    for (const auto &[name, value] : maps) {
        arguments.push_back({name, planes(op, name, std::get<Tensor>(value))});
    }
    for (const auto &[name, reads] : {std::pair{"key_column", &columns.key}, {"key_row", &rows.key},
                                      {"column", &columns.back}, {"row", &rows.back}}) {
        arguments.push_back({std::string(name) + "s", host.table(reads->lower)});
        arguments.push_back({std::string(name) + "_fraction", host.table(reads->fraction)});
    }
    arguments.push_back({"radius", box(options)});
    arguments.push_back({"scale", options.scale});
    arguments.push_back({"eps", options.eps});
    host.run(op, arguments);
}

// Maps with their borders. The filter without a border runs on them; the result is cut out.
class Mirrored {
public:
    Mirrored(const std::string &op, const Options &options, const Tensor &guide, Host &host)
        : rows(mirror(options, guide.sizes[2])), columns(mirror(options, guide.sizes[3])), host_(host),
          small_(guide.sizes), large_{small_[0], small_[1], rows.places(), columns.places()} {
        check_tensor(op, "guide with its border", {guide.data, guide.dtype, large_, {}}, guide.dtype);
    }

    Tensor small() const { return host_.scratch(small_); }
    Tensor large() const { return host_.scratch(large_); }

    Tensor extend(const Tensor &map) const { return spread(map, rows.extended(), columns.extended()); }
    Tensor embed(const Tensor &map) const { return spread(map, rows.own(), columns.own()); }
    // Their transposes.
    void fold(const Tensor &map, const Tensor &output) const {
        collect(map, output, rows.extended(), columns.extended());
    }
    void crop(const Tensor &map, const Tensor &output) const { collect(map, output, rows.own(), columns.own()); }

    const Mirror rows, columns;

private:
    Tensor spread(const Tensor &map, const Picks &of_rows, const Picks &of_columns) const {
        const Tensor result = large();
        sum_pixels(host_, map, result, of_rows, of_columns);
        return result;
    }
    void collect(const Tensor &map, const Tensor &output, const Picks &of_rows, const Picks &of_columns) const {
        sum_pixels(host_, map, output, transposed(of_rows, small_[2]), transposed(of_columns, small_[3]));
    }

    Host &host_;
    const std::vector<int64_t> small_, large_;
};

// The input as large as the guide.
Tensor at_full_size(const Mirrored &mirrored, const Tensor &guide, const Tensor &input, const Queue *queue) {
    if (input.sizes == guide.sizes) {
        return input;
    }
    const Tensor full = mirrored.small();
    run("bilinear", {{"value", input}, {"output", full}}, queue);
    return full;
}

}  // namespace

void guided_filter(const Options &options, const Tensor &guide, const Tensor &input, const Tensor &output,
                   const Queue *queue) {
    const std::string op = "guided_filter";
    Host host(guide.dtype, queue);
    if (!has_mirrors(options)) {
        run_filter(op, host, options, axis(options, input.sizes[2], guide.sizes[2]),
                   axis(options, input.sizes[3], guide.sizes[3]),
                   {{"guide", guide}, {"input", input}, {"output", output}});
        return;
    }
    const Mirrored mirrored(op, options, guide, host);
    const Tensor filtered = mirrored.large();
    run_filter(op, host, options, axis(options, mirrored.rows), axis(options, mirrored.columns),
               {{"guide", mirrored.extend(guide)},
                {"input", mirrored.extend(at_full_size(mirrored, guide, input, queue))},
                {"output", filtered}});
    mirrored.crop(filtered, output);
}

void guided_filter_backward(const Options &options, const Tensor &guide, const Tensor &input, const Tensor &d_output,
                           const Tensor &d_guide, const Tensor &d_input, const Queue *queue) {
    const std::string op = "guided_filter_backward";
    Host host(guide.dtype, queue);
    if (!has_mirrors(options)) {
        run_filter(op, host, options, axis(options, input.sizes[2], guide.sizes[2]),
                   axis(options, input.sizes[3], guide.sizes[3]),
                   {{"guide", guide}, {"input", input}, {"d_output", d_output}, {"d_guide", d_guide},
                    {"d_input", d_input}});
        return;
    }
    const Mirrored mirrored(op, options, guide, host);
    const Tensor of_guide = mirrored.large(), of_input = mirrored.large();
    run_filter(op, host, options, axis(options, mirrored.rows), axis(options, mirrored.columns),
               {{"guide", mirrored.extend(guide)},
                {"input", mirrored.extend(at_full_size(mirrored, guide, input, queue))},
                {"d_output", mirrored.embed(d_output)},
                {"d_guide", of_guide},
                {"d_input", of_input}});
    mirrored.fold(of_guide, d_guide);
    if (input.sizes == guide.sizes) {
        mirrored.fold(of_input, d_input);
        return;
    }
    const Tensor d_full = mirrored.small();
    mirrored.fold(of_input, d_full);
    run("bilinear_d_value", {{"d_output", d_full}, {"d_value", d_input}}, queue);
}

std::vector<Signature> describe_guided_filter() {
    static const auto options_of = [](const OperatorCall &c) {
        return Options{c.integer("radius"), c.real("eps"), c.integer("scale"), c.flag("centred"), c.text("border")};
    };
    Signature op{
        .name = "guided_filter",
        .doc = "The guided filter (He et al., arXiv 1505.00996) per channel. radius: of the box, in pixels of the guide. scale: "
               "fitted on every scale-th pixel. centred: the fit put back where those pixels are; published (False): as if "
               "they were the centres of scale x scale blocks. border: means are over the samples of a box inside the map, "
               "or samples go on beyond it in mirrors, reflect (c b | a b c) or symmetric (b a | a b c).",
        .inputs = {tensor("guide", "N,D,H,W"), tensor("input", "N,D,h,w")},
        .options = {integer("radius", 0, INT_MAX / 4 - 1), real("eps", 1e-3), integer("scale", 1, INT_MAX - 1, 1),
                    flag("centred", false), text("border", {"inside", "reflect", "symmetric"})},
        .outputs = {{"output", "N,D,H,W"}},
        .run =
            [](Host &, const OperatorCall &c) {
                guided_filter(options_of(c), c.tensor("guide"), c.tensor("input"), c.tensor("output"), c.queue);
            },
        .autocast = Signature::Autocast::ToFloat,
    };
    Signature backward = add_backward(op, {"guide", "input"}, [](Host &, const OperatorCall &c) {
        guided_filter_backward(options_of(c), c.tensor("guide"), c.tensor("input"), c.tensor("d_output"),
                              c.tensor("d_guide"), c.tensor("d_input"), c.queue);
    });
    return {op, backward};
}

}  // namespace upwell
