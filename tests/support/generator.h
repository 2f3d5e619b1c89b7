// A generator compiled in memory, and whole calls of it.
#pragma once

#include <array>
#include <deque>
#include <random>
#include <stdexcept>
#include <tuple>

#include "Halide.h"
#include "reference/reassembly.h"
#include "support/memory.h"

namespace upwell::test {

enum class Direction { Forward, DValue, DWeight };

struct Variant {
    Variant(reference::Operator op, Direction direction, int kernel, int ratio, Halide::Type type = Halide::Float(32))
        : op(std::move(op)), direction(direction), kernel(kernel), ratio(ratio), type(type) {}

    reference::Operator op;
    Direction direction;
    int kernel;
    int ratio;  // 0: any size, from tables
    Halide::Type type;

    std::string name() const {
        const char *suffix[] = {"", "_d_value", "_d_weight"};
        return op.name + suffix[static_cast<int>(direction)];
    }
    std::string describe() const {
        return name() + " kernel=" + std::to_string(kernel) + " ratio=" + std::to_string(ratio) + " " + type_name();
    }
    std::string type_name() const { return (type.is_bfloat() ? "bfloat" : "float") + std::to_string(type.bits()); }
    Halide::GeneratorParamsMap parameters() const {
        return {{"kernel", std::to_string(kernel)}, {"ratio", std::to_string(ratio)}, {"type", type_name()}};
    }
};

// A warning of the compiler is a failure, as an error is.
class Strict : public Halide::CompileTimeErrorReporter {
    void warning(const char *message) override { throw std::runtime_error(message); }
    void error(const char *message) override { throw std::runtime_error(message); }
};

inline Halide::Callable compile(const Variant &variant, const Halide::GeneratorParamsMap &more = {},
                                const Halide::Target &target = Halide::get_host_target()) {
    static Strict strict;
    Halide::set_custom_compile_time_error_reporter(&strict);
    Halide::GeneratorParamsMap parameters = variant.parameters();
    parameters.insert(more.begin(), more.end());
    return Halide::create_callable_from_generator(target, variant.name(), parameters);
}

// One axis of a problem as a general kernel reads it.
struct AxisTable {
    std::vector<int> taps;  // base, first tap and last tap of every pixel, one list after the other
    std::vector<double> fraction;
    std::vector<int> begin;  // first pixel whose base is m or more, m from -margin to low + margin
    int margin;
    int cell;  // most pixels of one base
};

inline AxisTable make_table(const reference::Problem &q, int low, int high) {
    AxisTable table{std::vector<int>(3 * high), {}, {}, q.kernel + 2, 1};
    for (int p = 0; p < high; p++) {
        const reference::Position at = reference::position(q.op, p, low, high);
        const auto taps = reference::axis_taps(q.op, q.kernel, p, low, high, q.mask_ratio);
        const auto takes_part = [](const reference::AxisTap &tap) { return tap.takes_part; };
        table.taps[p] = at.base;
        table.taps[high + p] = int(std::find_if(taps.begin(), taps.end(), takes_part) - taps.begin());
        table.taps[2 * high + p] = int(taps.rend() - std::find_if(taps.rbegin(), taps.rend(), takes_part)) - 1;
        table.fraction.push_back(at.fraction);
    }
    for (int m = -table.margin; m <= low + table.margin; m++) {
        table.begin.push_back(
            int(std::lower_bound(table.taps.begin(), table.taps.begin() + high, m) - table.taps.begin()));
        if (m > -table.margin) {
            table.cell = std::max(table.cell, table.begin.back() - *(table.begin.end() - 2));
        }
    }
    return table;
}

// Passes a list of buffers as so many arguments.
template<int count = 1, class... Tail>
void call(const Halide::Callable &kernel, const std::vector<Halide::Buffer<>> &inputs, const Tail &...tail) {
    if constexpr (count > 10) {
        throw std::logic_error("call: more inputs than any generator has");
    } else if (inputs.size() != count) {
        call<count + 1>(kernel, inputs, tail...);
    } else {
        std::apply([&](const auto &...input) { kernel(input..., tail...); },
                   [&] {
                       std::array<Halide::Buffer<>, count> list;
                       std::copy(inputs.begin(), inputs.end(), list.begin());
                       return list;
                   }());
    }
}

inline reference::Inputs random_inputs(const reference::Problem &q) {
    std::mt19937 bits(1);
    std::uniform_real_distribution<float> uniform(-1, 1);  // single precision, so that every type sees the same values
    const auto fill = [&](size_t size) {
        std::vector<double> values(size);
        std::generate(values.begin(), values.end(), [&] { return uniform(bits); });
        return values;
    };
    return {fill(q.low_size()), fill(q.weight_size()), fill(q.high_size())};
}

// on_device: set to whether the output was made by a device.
template<class T>
std::vector<double> run_typed(const Halide::Callable &kernel, const Variant &variant, const reference::Problem &q,
                              const reference::Inputs &in, bool &on_device) {
    const std::vector<int> low{q.w, q.h, q.C, q.N}, high{q.W, q.H, q.C, q.N}, taps{q.W, q.H, q.kernel * q.kernel, q.N};
    using Wide = std::conditional_t<sizeof(T) == 2, float, T>;  // of weights, and of fractions
    std::deque<Memory<T>> maps;
    std::deque<Memory<Wide>> weights;
    std::vector<Halide::Buffer<>> inputs;
    const auto add = [&](auto &memory, const std::vector<double> &values, const std::vector<int> &sizes) {
        inputs.push_back(memory.emplace_back(values, sizes).buffer());
    };
    if (variant.direction != Direction::DValue) {
        add(maps, in.value, low);
    }
    if (variant.op.softmax || (variant.op.has_weights && variant.direction != Direction::DWeight)) {
        add(weights, in.weight, taps);
    }
    if (variant.direction != Direction::Forward) {
        add(maps, in.d_output, high);
    }
    AxisTable columns = make_table(q, q.w, q.W), rows = make_table(q, q.h, q.H);
    if (variant.ratio == 0) {
        inputs.push_back(Halide::Buffer<int>(columns.taps.data(), q.W, 3));
        inputs.push_back(Halide::Buffer<int>(rows.taps.data(), q.H, 3));
        add(weights, columns.fraction, {q.W});
        add(weights, rows.fraction, {q.H});
    }
    for (Halide::Buffer<> &input : inputs) {
        input.set_host_dirty();
    }
    const auto run_into = [&](auto memory) {
        Halide::Buffer<> result = memory.buffer();
        if (variant.ratio == 0 && variant.direction == Direction::DValue) {
            for (AxisTable *table : {&columns, &rows}) {
                inputs.push_back(Halide::Buffer<int>(table->begin.data(), int(table->begin.size())));
                inputs.back().set_min(-table->margin);
                inputs.back().set_host_dirty();
            }
            call(kernel, inputs, columns.cell, rows.cell, result);
        } else {
            call(kernel, inputs, result);
        }
        on_device = result.device_dirty();
        result.copy_to_host();
        if (!memory.guards_hold()) {
            throw std::logic_error(variant.describe() + " wrote outside its output");
        }
        return memory.values();
    };
    const auto unwritten = [](size_t size) { return std::vector<double>(size, NAN); };
    switch (variant.direction) {
    case Direction::Forward:
        return run_into(Memory<T>(unwritten(q.high_size()), high));
    case Direction::DValue:
        return run_into(Memory<T>(unwritten(q.low_size()), low));
    case Direction::DWeight:
        return run_into(Memory<Wide>(unwritten(q.weight_size()), taps));
    }
    return {};
}

inline std::vector<double> run(const Halide::Callable &kernel, const Variant &variant, const reference::Problem &q,
                               const reference::Inputs &in, bool &on_device) {
    if (variant.type.bits() == 16) {
        return variant.type.is_bfloat() ? run_typed<Halide::bfloat16_t>(kernel, variant, q, in, on_device)
                                        : run_typed<Halide::float16_t>(kernel, variant, q, in, on_device);
    }
    return variant.type.bits() == 32 ? run_typed<float>(kernel, variant, q, in, on_device)
                                     : run_typed<double>(kernel, variant, q, in, on_device);
}

inline std::vector<double> run(const Halide::Callable &kernel, const Variant &variant, const reference::Problem &q,
                               const reference::Inputs &in) {
    bool on_device;
    return run(kernel, variant, q, in, on_device);
}

inline std::vector<double> expected(const Variant &variant, const reference::Problem &q, const reference::Inputs &in) {
    const reference::Result result = reference::evaluate(q, in);
    return variant.direction == Direction::Forward         ? result.output
           : variant.direction == Direction::DValue ? result.d_value
                                                          : result.d_weight;
}

// The largest difference, as a share of the largest expected value (or of 1). NaN counts as infinitely far.
inline double worst_error(const std::vector<double> &actual, const std::vector<double> &expected) {
    double worst = actual.size() == expected.size() ? 0 : INFINITY, scale = 1;
    for (size_t i = 0; i < std::min(actual.size(), expected.size()); i++) {
        const double error = std::abs(actual[i] - expected[i]);
        worst = std::isnan(error) ? INFINITY : std::max(worst, error);
        scale = std::max(scale, std::abs(expected[i]));
    }
    return worst / scale;
}

inline std::string describe(const reference::Problem &q) {
    std::string text;
    for (const int size : {q.N, q.C, q.h, q.w, q.H, q.W}) {
        text += (text.empty() ? "" : ",") + std::to_string(size);
    }
    return text + (q.mask_ratio > 0 ? " mask_ratio " + std::to_string(q.mask_ratio) : "");
}

inline double tolerance(const Variant &variant) {
    return variant.type.bits() == 32 ? 1e-5 : 1e-12;
}

}  // namespace upwell::test
