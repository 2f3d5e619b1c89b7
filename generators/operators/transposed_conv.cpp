// The transposed convolution in groups, and its two gradients. The arguments in order, Halide's dimensions innermost
// first; A and B are the channels of a group of the input and of the output, G groups:
//     input         (w, h, A, G, N)        transposed_conv and transposed_conv_d_weight
//     d_output      (SX, W, SY, H, B, G, N)  the gradients; S is the stride, W x H blocks
//     weight        (KW, KH, B, A, G)      transposed_conv and transposed_conv_d_input
//     bias          (B, G)                 transposed_conv
//     columns       (taps, SX) int32       element of the kernel for a tap of a phase, or -1
//     rows          (taps, SY) int32
//     first_column  int32                  a block's input pixel at tap 0, less the block
//     first_row     int32
//     places_x      (KW, 2) int32          transposed_conv_d_weight: tap and phase of an element
//     places_y      (KH, 2) int32
//     -> output (SX, W, SY, H, B, G, N), d_input (w, h, A, G, N) or d_weight (KW, KH, B, A, G)
// Those whose names end in _2 are for stride 2, the others for any.
#include "algebra/transposed_conv.h"

#include "transposed_conv.h"

namespace upwell::transposed_conv {
namespace {

using Halide::Expr, Halide::Func, Halide::Int;

// Parts: Forward, DInput or DWeight. stride: 0 is any.
template<class Parts, int stride> class Generator : public Halide::Generator<Generator<Parts, stride>> {
    using Base = Halide::Generator<Generator<Parts, stride>>;
    using Buffer = Halide::Buffer<void>;
    static constexpr bool forward = std::is_same_v<Parts, Forward>, d_input = std::is_same_v<Parts, DInput>,
                          d_weight = std::is_same_v<Parts, DWeight>;

public:
    Halide::GeneratorParam<Halide::Type> type{"type", Halide::Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};

    void configure() {
        const auto add = [&](const char *name, int dimensions) {
            return Base::template add_input<Buffer>(name, type, dimensions);
        };
        if (!d_input) {
            low = add("input", 5);
        }
        if (!forward) {
            high = add("d_output", 7);
        }
        if (!d_weight) {
            weight = add("weight", 5);
        }
        if (forward) {
            bias = add("bias", 2);
        }
        columns = Base::template add_input<Buffer>("columns", Int(32), 2);
        rows = Base::template add_input<Buffer>("rows", Int(32), 2);
        first_column = Base::template add_input<int>("first_column");
        first_row = Base::template add_input<int>("first_row");
        if (d_weight) {
            places_x = Base::template add_input<Buffer>("places_x", Int(32), 2);
            places_y = Base::template add_input<Buffer>("places_y", Int(32), 2);
        }
        result = Base::template add_output<Buffer>(forward   ? "output"
                                                   : d_input ? "d_input"
                                                             : "d_weight",
                                                   type, forward ? 7 : 5);
    }

    void generate() {
        const Problem problem = make_problem();
        if constexpr (forward) {
            parts = std::make_unique<Parts>(problem, *low, *bias);
            *result = parts->output;
        } else if constexpr (d_input) {
            parts = std::make_unique<Parts>(problem, *high);
            *result = parts->d_input;
        } else {
            parts = std::make_unique<Parts>(problem, *high, *low, *places_x, *places_y,
                                            sum_sizes(type, Base::get_target()));
            *result = parts->d_weight;
        }
        fix(*result, result_sizes);
    }

    void schedule() {
        if (default_schedule) {
            schedule_plainly(*parts);
        } else {
            upwell::transposed_conv::schedule(*parts, Base::get_target());
        }
    }

private:
    using Input = Halide::GeneratorInput<Buffer> *;

    // A size that is undefined is free. The blocks of a row lie beside each other.
    template<class Map> static void fix(Map &map, const std::vector<Expr> &sizes) {
        for (size_t d = 0; d < sizes.size(); d++) {
            map.dim(int(d)).set_bounds(0, sizes[d].defined() ? sizes[d] : map.dim(int(d)).extent());
        }
        if (sizes.size() == 7) {
            map.dim(1).set_stride(sizes[0]);
        }
    }

    // Sets the sizes of all inputs from a few of them, so that bounds are exact. Those of the result follow, or are its
    // own, and are set when it is there.
    Problem make_problem() {
        const auto extent = [](Input buffer, int d) { return buffer ? buffer->dim(d).extent() : Expr(); };
        const Input any = low ? low : high;
        const int groups = low ? 3 : 5;  // their dimension
        const Expr A = low ? extent(low, 2) : extent(weight, 3), B = high ? extent(high, 4) : extent(weight, 2),
                   G = extent(any, groups), N = extent(any, groups + 1);
        // d: 0 for columns, 1 for rows.
        const auto axis = [&](Input table, Input places, Expr first, int d) {
            const Expr fixed_stride = stride ? Expr(stride) : extent(table, 1);
            fix(*table, {extent(table, 0), fixed_stride});
            if (places) {
                fix(*places, {extent(places, 0), 2});
            }
            return Axis{*table,
                        extent(table, 0),
                        fixed_stride,
                        first,
                        extent(low, d),
                        extent(high, 2 * d + 1),
                        places ? extent(places, 0) : extent(weight, d)};
        };
        const Axis across = axis(columns, places_x, *first_column, 0), down = axis(rows, places_y, *first_row, 1);
        const auto fix_map = [&](Input input, const std::vector<Expr> &sizes) {
            if (input) {
                fix(*input, sizes);
            } else {
                result_sizes = sizes;
            }
        };
        fix_map(low, {across.low, down.low, A, G, N});
        fix_map(high, {across.stride, across.blocks, down.stride, down.blocks, B, G, N});
        fix_map(weight, {across.kernel, down.kernel, B, A, G});
        if (bias) {
            fix(*bias, {B, G});
        }
        return {across, down, weight ? Func(*weight) : Func(), A, B, N, type};
    }

    Input low = nullptr, high = nullptr, weight = nullptr, bias = nullptr, columns = nullptr, rows = nullptr,
          places_x = nullptr, places_y = nullptr;
    Halide::GeneratorInput<int> *first_column = nullptr, *first_row = nullptr;
    Halide::GeneratorOutput<Buffer> *result = nullptr;
    std::vector<Expr> result_sizes;
    std::unique_ptr<Parts> parts;
};

using Any = Generator<Forward, 0>;
using ByTwo = Generator<Forward, 2>;
using DInputAny = Generator<DInput, 0>;
using DInputByTwo = Generator<DInput, 2>;
using DWeightAny = Generator<DWeight, 0>;
using DWeightByTwo = Generator<DWeight, 2>;

}  // namespace
}  // namespace upwell::transposed_conv

HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::Any, transposed_conv)
HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::ByTwo, transposed_conv_2)
HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::DInputAny, transposed_conv_d_input)
HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::DInputByTwo, transposed_conv_d_input_2)
HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::DWeightAny, transposed_conv_d_weight)
HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::DWeightByTwo, transposed_conv_d_weight_2)
