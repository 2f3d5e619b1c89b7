// The generators of a window, one for each of its directions.
#pragma once

#include <functional>

#include "algebra/dimensions.h"
#include "algebra/reassembly.h"
#include "kernel.h"
#include "schedules/window.h"

namespace upwell {

template<Direction direction> class ReassemblyGenerator : public Kernel<ReassemblyGenerator<direction>> {
    using Base = Kernel<ReassemblyGenerator<direction>>;
    using typename Base::Input, typename Base::Integer, typename Base::Output;

public:
    Halide::GeneratorParam<int> kernel{"kernel", 1};  // taps per side, odd
    Halide::GeneratorParam<int> ratio{"ratio", 0};    // pixels per cell and axis; 0: any size, from tables
    // type: float16 and bfloat16 are for GPUs: maps are passed as uint16; weights, their gradients and fractions as
    // float32.
    // For maps of few channels (any size, on a processor): pixels lie side by side instead of channels.
    Halide::GeneratorParam<bool> few_channels{"few_channels", false};
    WindowKnobs knobs;

    // Taps per side -> the window; given before anything is made.
    std::function<Window(int)> describe;

    void configure() {
        const Operator op = described();
        const Halide::Type stored = storage().stored(), wide = storage().arithmetic();
        if (direction != Direction::DValue) {
            value = this->map("value", "w,h,C,N", stored);
        }
        // Weights that are used as given are no part of their gradient.
        if (op.normaliser == Normaliser::Softmax || (op.has_weights() && direction != Direction::DWeight)) {
            logits = this->map("weight", "W,H,taps,N", wide);
        }
        if (direction != Direction::Forward) {
            d_output = this->map("d_output", "W,H,C,N", stored);
        }
        if (direction == Direction::DWeight && describe(kernel).has_bias) {
            bias = this->map("bias", "taps,groups", wide);
        }
        if (ratio == 0) {
            columns = this->table("columns", "W,3");
            rows = this->table("rows", "H,3");
            column_fraction = this->map("column_fraction", "W", wide);
            row_fraction = this->map("row_fraction", "H", wide);
            if (direction == Direction::DValue) {
                column_begin = this->table("column_begin", "column begins");
                row_begin = this->table("row_begin", "row begins");
                column_cell = this->integer("column_cell");
                row_cell = this->integer("row_cell");
            }
        }
        const bool of_weights = direction == Direction::DWeight;
        output = this->out("output",
                           of_weights                       ? "W,H,taps,N"
                           : direction == Direction::DValue ? "w,h,C,N"
                                                            : "W,H,C,N",
                           {of_weights ? wide : stored});
    }

    void generate() {
        const Problem problem = make_problem();
        const Halide::Func weights = logits ? Halide::Func(*logits) : unread();
        if constexpr (direction == Direction::Forward) {
            parts = std::make_unique<Parts>(problem, storage().load(*value), weights);
        } else if constexpr (direction == Direction::DValue) {
            parts = std::make_unique<Parts>(problem, weights, storage().load(*d_output));
        } else {
            parts = std::make_unique<Parts>(problem, storage().load(*value), weights, storage().load(*d_output),
                                            bias ? bias_of_sample() : Halide::Func());
        }
        *output = parts->output;
        fix_sizes(problem);
    }

    void place() {
        if (!this->default_schedule) {
            upwell::place(this->where(), *parts, knobs);
        }
    }

private:
    using Parts = std::conditional_t<
        direction == Direction::Forward, Reassembly,
        std::conditional_t<direction == Direction::DValue, ReassemblyValueBackward, ReassemblyWeightBackward>>;
    // In the place of weights that nothing is made of.
    Halide::Func unread() const {
        Halide::Func none("unread");
        none(x, y, tap, n) = Halide::Internal::make_zero(storage().arithmetic());
        return none;
    }
    // A sample of a kernel is a group of one: groups follow each other in it.
    Halide::Func bias_of_sample() const {
        Halide::Func of_sample("bias_of_sample");
        const Halide::Expr groups = bias->dim(1).extent();
        of_sample(tap, n) = (*bias)(tap, Halide::unsafe_promise_clamped(n % groups, 0, groups - 1));
        return of_sample;
    }
    Operator described() const {
        const Window window = describe(kernel);
        if (ratio > 0 && window.taps.border == Border::Inside) {
            throw std::invalid_argument(window.name +
                                        ": where taps move inside cells differ, so that there are kernels "
                                        "of any size alone");
        }
        return {window.taps, window.normaliser};
    }
    Storage storage() const { return upwell::storage(this->type, this->where()); }

    Problem make_problem() {
        const Input map = value ? value : d_output;
        const Operator op = described();
        Problem problem{
            op, lower(op.taps), nullptr, nullptr, storage().arithmetic(), map->dim(2).extent(), map->dim(3).extent()};
        if (direction != Direction::DWeight) {
            problem.storage = storage();
        }
        problem.columns = make_axis(problem.op.taps, 0);
        problem.rows = make_axis(problem.op.taps, 1);
        problem.few_channels = few_channels;
        problem.plain = this->where().scheduled == Scheduled::Automatically;
        problem.tile = tile_of_d_value(problem, direction == Direction::DValue ? &knobs : nullptr, this->where());
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
        if (direction != Direction::DValue) {
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
        fix(output, direction == Direction::DValue ? w.low : w.high, direction == Direction::DValue ? h.low : h.high);
        if (bias) {
            bias->dim(0).set_bounds(0, problem.op.taps.count());
            bias->dim(1).set_min(0);
        }
    }

    Input value = nullptr, logits = nullptr, d_output = nullptr, bias = nullptr, columns = nullptr, rows = nullptr,
          column_fraction = nullptr, row_fraction = nullptr, column_begin = nullptr, row_begin = nullptr;
    Integer column_cell = nullptr, row_cell = nullptr;
    Output output = nullptr;
    std::unique_ptr<Parts> parts;
};

}  // namespace upwell
