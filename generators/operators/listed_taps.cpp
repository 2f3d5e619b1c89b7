// Sums over taps at listed offsets, and their derivatives.
#include "algebra/listed_taps.h"

#include "kernel.h"
#include "schedules/form.h"
#include "schedules/listed_taps.h"

namespace upwell::listed_taps {
namespace {

// Parts: Sum, Dot or Transposed. What they take, Halide's dimensions innermost first; pixels (W, S, h): rows s of those
// in a row of cells:
//     value     (w, h, C, N)            Sum and Dot
//     weight    (W, S, h, T, N)         Sum and Transposed
//     d_output  (W, S, h, C, N)         Dot and Transposed
//     columns   (W + 2 reach_x) int32, rows (h + 2 reach_y) int32    Sum and Dot: the cells that stand there
//     across, down (T) int32            offsets of taps: in pixels of a row, in rows of cells
//     reach_x, reach_y int32
//     -> output (W, S, h, C, N), d_weight (W, S, h, T, N) or extended (W + 2 reach_x, h + 2 reach_y, C, N)
template<class Parts> class ListedTaps : public Kernel<ListedTaps<Parts>> {
    using Base = Kernel<ListedTaps<Parts>>;
    static constexpr bool is_sum = std::is_same_v<Parts, Sum>, is_dot = std::is_same_v<Parts, Dot>;

public:
    void configure() {
        if (is_sum || is_dot) {
            value = this->map("value", "w,h,C,N");
        }
        if (!is_dot) {
            weight = this->map("weight", "W,S,h,T,N");
        }
        if (!is_sum) {
            d_output = this->map("d_output", "W,S,h,C,N");
        }
        if (is_sum || is_dot) {
            columns = this->table("columns", "columns");
            rows = this->table("rows", "rows");
        }
        across = this->table("across", "T");
        down = this->table("down", "T");
        reach_x = this->integer("reach_x");
        reach_y = this->integer("reach_y");
        output = is_sum   ? this->out("output", "W,S,h,C,N")
                 : is_dot ? this->out("d_weight", "W,S,h,T,N")
                          : this->out("extended", "columns,rows,C,N");
    }

    void generate() {
        const Taps taps{*across, *down, this->size("T"), *reach_x, *reach_y};
        Map map{{}, {}, {}, {}, this->size("h"), this->size("W"), this->size("S"), this->size("C")};
        map.tile = form_of_sums(this->where()) == Form::Gather ? 1 : tile;
        this->set_size("columns", map.W + 2 * taps.reach_x);
        this->set_size("rows", map.h + 2 * taps.reach_y);
        if constexpr (is_sum || is_dot) {
            map.value = *value;
            map.columns = *columns;
            map.rows = *rows;
            map.w = this->size("w");
        }
        if constexpr (is_sum) {
            parts = std::make_unique<Parts>(map, taps, *weight);
        } else if constexpr (is_dot) {
            parts = std::make_unique<Parts>(map, taps, *d_output);
        } else {
            parts = std::make_unique<Parts>(map, taps, *weight, *d_output);
        }
        *output = parts->output;
        this->fix_sizes();
    }

    void place() {
        if (!this->default_schedule) {
            upwell::place(this->where(), *parts);
        }
    }

private:
    typename Base::Input value = nullptr, weight = nullptr, d_output = nullptr, columns = nullptr, rows = nullptr,
                         across = nullptr, down = nullptr;
    typename Base::Integer reach_x = nullptr, reach_y = nullptr;
    typename Base::Output output = nullptr;
    std::unique_ptr<Parts> parts;
};

// extended (W, H, C, N), columns (A, w) and rows (B, h) int32, those of a cell side by side -> d_value (w, h, C, N).
class ListedTapsFold : public Kernel<ListedTapsFold> {
public:
    void configure() {
        extended = map("extended", "W,H,C,N");
        columns = table("columns", "w,A");
        rows = table("rows", "h,B");
        d_value = out("d_value", "w,h,C,N");
    }

    void generate() {
        Map map;
        map.W = size("W");
        map.h = size("H");
        parts = std::make_unique<Fold>(*extended, *columns, *rows, size("A"), size("B"), map);
        *d_value = parts->output;
        fix_sizes();
    }

    void place() {
        if (!default_schedule) {
            upwell::place(where(), *parts);
        }
    }

private:
    Input extended = nullptr, columns = nullptr, rows = nullptr;
    Output d_value = nullptr;
    std::unique_ptr<Fold> parts;
};

using OfSum = ListedTaps<Sum>;
using OfDot = ListedTaps<Dot>;
using OfTransposed = ListedTaps<Transposed>;

}  // namespace
}  // namespace upwell::listed_taps

HALIDE_REGISTER_GENERATOR(upwell::listed_taps::OfSum, listed_taps)
HALIDE_REGISTER_GENERATOR(upwell::listed_taps::OfDot, listed_taps_d_weight)
HALIDE_REGISTER_GENERATOR(upwell::listed_taps::OfTransposed, listed_taps_extended)
HALIDE_REGISTER_GENERATOR(upwell::listed_taps::ListedTapsFold, listed_taps_fold)
