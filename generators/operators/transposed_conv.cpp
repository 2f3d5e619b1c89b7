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

#include "kernel.h"
#include "schedules/transposed_conv.h"

namespace upwell::transposed_conv {
namespace {

using Halide::Expr, Halide::Func;

// Parts: Forward, DInput or DWeight. stride: 0 is any.
template<class Parts, int stride> class TransposedConv : public Kernel<TransposedConv<Parts, stride>> {
    using Base = Kernel<TransposedConv<Parts, stride>>;
    using typename Base::Input, typename Base::Integer, typename Base::Output;
    static constexpr bool forward = std::is_same_v<Parts, Forward>, d_input = std::is_same_v<Parts, DInput>,
                          d_weight = std::is_same_v<Parts, DWeight>;
    static constexpr const char *low_sizes = "w,h,A,G,N", *high_sizes = "SX,W,SY,H,B,G,N",
                                *weight_sizes = "KW,KH,B,A,G";

public:
    void configure() {
        if (!d_input) {
            low = this->map("input", low_sizes);
        }
        if (!forward) {
            high = this->map("d_output", high_sizes);
        }
        if (!d_weight) {
            weight = this->map("weight", weight_sizes);
        }
        if (forward) {
            bias = this->map("bias", "B,G");
        }
        columns = this->table("columns", "x taps,SX");
        rows = this->table("rows", "y taps,SY");
        first_column = this->integer("first_column");
        first_row = this->integer("first_row");
        if (d_weight) {
            places_x = this->table("places_x", "KW,2");
            places_y = this->table("places_y", "KH,2");
        }
        result = forward   ? this->out("output", high_sizes)
                 : d_input ? this->out("d_input", low_sizes)
                           : this->out("d_weight", weight_sizes);
    }

    void generate() {
        this->set_size("SX", stride ? Expr(stride) : columns->dim(1).extent());
        this->set_size("SY", stride ? Expr(stride) : rows->dim(1).extent());
        const Problem problem{{*columns, this->size("x taps"), this->size("SX"), *first_column, this->size("w"),
                               this->size("W"), this->size("KW")},
                              {*rows, this->size("y taps"), this->size("SY"), *first_row, this->size("h"),
                               this->size("H"), this->size("KH")},
                              weight ? Func(*weight) : Func(),
                              this->size("A"),
                              this->size("B"),
                              this->size("N"),
                              this->type};
        if constexpr (forward) {
            parts = std::make_unique<Parts>(problem, *low, *bias);
            *result = parts->output;
        } else if constexpr (d_input) {
            parts = std::make_unique<Parts>(problem, *high);
            *result = parts->d_input;
        } else {
            parts = std::make_unique<Parts>(problem, *high, *low, *places_x, *places_y,
                                            sum_sizes(this->type, this->where()));
            *result = parts->d_weight;
        }
        this->fix_sizes();
        // The blocks of a row lie beside each other.
        if (forward) {
            (*result).dim(1).set_stride(this->size("SX"));
        } else {
            high->dim(1).set_stride(this->size("SX"));
        }
    }

    void place() {
        if (this->default_schedule) {
            schedule_plainly(*parts);
        } else {
            upwell::place(this->where(), *parts);
        }
    }

private:
    Input low = nullptr, high = nullptr, weight = nullptr, bias = nullptr, columns = nullptr, rows = nullptr,
          places_x = nullptr, places_y = nullptr;
    Integer first_column = nullptr, first_row = nullptr;
    Output result = nullptr;
    std::unique_ptr<Parts> parts;
};

using Any = TransposedConv<Forward, 0>;
using ByTwo = TransposedConv<Forward, 2>;
using DInputAny = TransposedConv<DInput, 0>;
using DInputByTwo = TransposedConv<DInput, 2>;
using DWeightAny = TransposedConv<DWeight, 0>;
using DWeightByTwo = TransposedConv<DWeight, 2>;

}  // namespace
}  // namespace upwell::transposed_conv

HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::Any, transposed_conv)
HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::ByTwo, transposed_conv_2)
HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::DInputAny, transposed_conv_d_input)
HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::DInputByTwo, transposed_conv_d_input_2)
HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::DWeightAny, transposed_conv_d_weight)
HALIDE_REGISTER_GENERATOR(upwell::transposed_conv::DWeightByTwo, transposed_conv_d_weight_2)
