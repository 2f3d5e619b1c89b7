// Makes the three generators of an operator (output, d_value, d_weight) from its description.
#pragma once

#include "Halide.h"
#include "algebra/dimensions.h"
#include "algebra/reassembly.h"
#include "estimates.h"
#include "window.h"

namespace upwell {

enum class Direction { Output, ValueAdjoint, WeightAdjoint };

// Describe: kernel -> Operator.
template<Operator (*describe)(int), Direction direction>
class ReassemblyGenerator : public Halide::Generator<ReassemblyGenerator<describe, direction>> {
    using Base = Halide::Generator<ReassemblyGenerator<describe, direction>>;
    using Buffer = Halide::Buffer<void>;

public:
    Halide::GeneratorParam<int> kernel{"kernel", 1};  // taps per side, odd
    Halide::GeneratorParam<int> ratio{"ratio", 0};    // pixels per cell and axis; 0: any size, from tables
    // float16 and bfloat16 are for GPUs: maps are passed as uint16; weights, their gradients and fractions as float32.
    Halide::GeneratorParam<Halide::Type> type{"type", Halide::Float(32)};
    // For maps of few channels (any size, on a processor): pixels lie side by side instead of channels.
    Halide::GeneratorParam<bool> few_channels{"few_channels", false};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};
    Halide::GeneratorParam<std::string> estimates{"estimates", ""};  // sizes of a call, see estimates.h
    WindowKnobs knobs;

    void configure() {
        const Operator op = describe(kernel);
        const Halide::Type stored = storage().stored(), wide = storage().arithmetic();
        if (direction != Direction::ValueAdjoint) {
            value = Base::template add_input<Buffer>("value", stored, 4);  // w, h, C, N
        }
        if (op.has_weights()) {
            logits = Base::template add_input<Buffer>("weight", wide, 4);  // W, H, K*K, N
        }
        if (direction != Direction::Output) {
            d_output = Base::template add_input<Buffer>("d_output", stored, 4);  // W, H, C, N
        }
        if (ratio == 0) {
            columns = Base::template add_input<Buffer>("columns", Halide::Int(32), 2);  // W, 3
            rows = Base::template add_input<Buffer>("rows", Halide::Int(32), 2);        // H, 3
            column_fraction = Base::template add_input<Buffer>("column_fraction", wide, 1);
            row_fraction = Base::template add_input<Buffer>("row_fraction", wide, 1);
            if (direction == Direction::ValueAdjoint) {
                column_begin = Base::template add_input<Buffer>("column_begin", Halide::Int(32), 1);
                row_begin = Base::template add_input<Buffer>("row_begin", Halide::Int(32), 1);
                column_cell = Base::template add_input<int>("column_cell");
                row_cell = Base::template add_input<int>("row_cell");
            }
        }
        output = Base::template add_output<Buffer>("output", direction == Direction::WeightAdjoint ? wide : stored, 4);
    }

    void generate() {
        const Problem problem = make_problem();
        const Halide::Func weights = logits ? Halide::Func(*logits) : Halide::Func();
        if constexpr (direction == Direction::Output) {
            parts = std::make_unique<Parts>(problem, storage().load(*value), weights);
        } else if constexpr (direction == Direction::ValueAdjoint) {
            parts = std::make_unique<Parts>(problem, weights, storage().load(*d_output));
        } else {
            parts = std::make_unique<Parts>(problem, storage().load(*value), weights, storage().load(*d_output));
        }
        *output = parts->output;
        fix_sizes(problem);
    }

    void schedule() {
        set_estimates(*this, estimates);
        if (!default_schedule && !Base::using_autoscheduler()) {
            upwell::schedule(*parts, knobs, Base::get_target());
        }
    }

private:
    using Parts = std::conditional_t<
        direction == Direction::Output, Reassembly,
        std::conditional_t<direction == Direction::ValueAdjoint, ReassemblyValueAdjoint, ReassemblyWeightAdjoint>>;
    using Input = Halide::GeneratorInput<Buffer> *;

    // CUDA converts float16 in one instruction; OpenCL may not know the type.
    Storage storage() const { return Storage(type, Base::get_target().has_feature(Halide::Target::CUDA)); }

    Problem make_problem() {
        const Input map = value ? value : d_output;
        const Operator op = describe(kernel);
        Problem problem{
            op, lower(op.taps), nullptr, nullptr, storage().arithmetic(), map->dim(2).extent(), map->dim(3).extent()};
        if (direction != Direction::WeightAdjoint) {
            problem.storage = storage();
        }
        problem.columns = make_axis(problem.op.taps, 0);
        problem.rows = make_axis(problem.op.taps, 1);
        problem.few_channels = few_channels;
        problem.plain = Base::using_autoscheduler();
        if (Base::get_target().has_gpu_feature() && !problem.plain) {
            problem.tile = direction == Direction::ValueAdjoint ? choose_tile(problem, knobs) : choose_tile(problem);
        }
        return problem;
    }

    std::shared_ptr<const Axis> make_axis(const Taps &taps, int axis) {
        if (ratio > 0) {
            const Halide::Expr low = value ? value->dim(axis).extent() : d_output->dim(axis).extent() / ratio;
            return std::make_shared<ExactAxis>(taps, ratio, low, storage().arithmetic());
        }
        const Halide::Type type = storage().arithmetic();
        const Input table = axis == 0 ? columns : rows, fraction = axis == 0 ? column_fraction : row_fraction;
        const Halide::Expr high = table->dim(0).extent();
        if (direction != Direction::ValueAdjoint) {
            return std::make_shared<TableAxis>(*table, *fraction, Halide::Func(), 1, value->dim(axis).extent(), high,
                                               type);
        }
        const Input begin = axis == 0 ? column_begin : row_begin;
        const Halide::Expr low = begin->dim(0).extent() + 2 * begin->dim(0).min() - 1;  // from -margin to low + margin
        return std::make_shared<TableAxis>(*table, *fraction, *begin, axis == 0 ? *column_cell : *row_cell, low, high,
                                           type);
    }

    // Every extent follows from the low-res and the high-res size, so that bounds are exact and loops have no tails.
    void fix_sizes(const Problem &problem) {
        const auto fix = [](auto *buffer, Halide::Expr width, Halide::Expr height) {
            if (buffer) {
                buffer->dim(0).set_bounds(0, width).dim(1).set_bounds(0, height);
                buffer->dim(2).set_min(0);
                buffer->dim(3).set_min(0);
            }
        };
        const Axis &w = *problem.columns, &h = *problem.rows;
        fix(value, w.low, h.low);
        fix(logits, w.high, h.high);
        fix(d_output, w.high, h.high);
        fix(output, direction == Direction::ValueAdjoint ? w.low : w.high,
            direction == Direction::ValueAdjoint ? h.low : h.high);
    }

    Input value = nullptr, logits = nullptr, d_output = nullptr, columns = nullptr, rows = nullptr,
          column_fraction = nullptr, row_fraction = nullptr, column_begin = nullptr, row_begin = nullptr;
    Halide::GeneratorInput<int> *column_cell = nullptr, *row_cell = nullptr;
    Halide::GeneratorOutput<Buffer> *output = nullptr;
    std::unique_ptr<Parts> parts;
};

}  // namespace upwell

// Registers NAME, NAME_d_value and, where the operator has weights, NAME_d_weight.
#define UPWELL_REGISTER_LINEAR(NAME, DESCRIBE)                                                                         \
    using NAME##_output = upwell::ReassemblyGenerator<DESCRIBE, upwell::Direction::Output>;                            \
    using NAME##_value_adjoint = upwell::ReassemblyGenerator<DESCRIBE, upwell::Direction::ValueAdjoint>;               \
    HALIDE_REGISTER_GENERATOR(NAME##_output, NAME)                                                                     \
    HALIDE_REGISTER_GENERATOR(NAME##_value_adjoint, NAME##_d_value)
#define UPWELL_REGISTER_REASSEMBLY(NAME, DESCRIBE)                                                                     \
    UPWELL_REGISTER_LINEAR(NAME, DESCRIBE)                                                                             \
    using NAME##_weight_adjoint = upwell::ReassemblyGenerator<DESCRIBE, upwell::Direction::WeightAdjoint>;             \
    HALIDE_REGISTER_GENERATOR(NAME##_weight_adjoint, NAME##_d_weight)
