// Cross-scale attention and its gradients.
#include "algebra/cross_attention.h"

#include "kernel.h"
#include "schedules/cross_attention.h"
#include "schedules/form.h"

namespace upwell::cross_attention {
namespace {

enum class Pass { Forward, Statistics, Query, Key, Value };

// Maps (W, H, D, G, N), (w, h, D, G, N) and (w, h, C, G, N); with a mean of heads' weights value and d_output have one
// head. What every pass takes:
//     query, key, value [, d_output (W, H, C, G, N) [, logarithm, inner (W, H, G, N): the statistics]]
//     column_begin, column_end (W), row_begin, row_end (H)    the cells of a pixel's window
//     tile_first (tiles of W), row_first (H), columns, rows   the cells that a tile is compared with
//     scale, heads
//     [first_pixel (blocks of w), pixels                      Key, Value: the pixels that see a block of cells
//     [, first_line (h), lines]]                              and, where they are gathered, the rows that see one
template<Pass pass, bool mean> class AttentionKernel : public Kernel<AttentionKernel<pass, mean>> {
    using Base = Kernel<AttentionKernel<pass, mean>>;
    static constexpr bool has_gradient = pass != Pass::Forward;
    static constexpr bool has_statistics = has_gradient && pass != Pass::Statistics;
    static constexpr bool is_of_cells = pass == Pass::Key || pass == Pass::Value;

public:
    void configure() {
        form = form_of_sums(Base::where());
        query = Base::map("query", "W,H,D,G,N");
        key = Base::map("key", "w,h,D,G,N");
        value = Base::map("value", "w,h,C,V,N");
        if constexpr (has_gradient) {
            d_output = Base::map("d_output", "W,H,C,V,N");
        }
        if constexpr (has_statistics) {
            logarithm = Base::map("logarithm", "W,H,G,N");
            inner = Base::map("inner", "W,H,G,N");
        }
        column_begin = Base::table("column_begin", "W");
        column_end = Base::table("column_end", "W");
        row_begin = Base::table("row_begin", "H");
        row_end = Base::table("row_end", "H");
        tile_first = Base::table("tile_first", "T");
        row_first = Base::table("row_first", "H");
        columns = Base::integer("columns");
        rows = Base::integer("rows");
        scale = Base::real("scale");
        if constexpr (is_of_cells) {
            first_pixel = Base::table("first_pixel", "B");
            pixels = Base::integer("pixels");
            if (form == Form::Gather) {
                first_line = Base::table("first_line", "h");
                lines = Base::integer("lines");
            }
        }
        if constexpr (pass == Pass::Forward) {
            output = Base::out("output", "W,H,C,V,N");
        } else if constexpr (pass == Pass::Statistics) {
            output = Base::out("statistics", "W,H,G,N", 2);
        } else if constexpr (pass == Pass::Query) {
            output = Base::out("d_query", "W,H,D,G,N");
        } else if constexpr (pass == Pass::Key) {
            output = Base::out("d_key", "w,h,D,G,N");
        } else {
            output = Base::out("d_value", "w,h,C,V,N");
        }
    }

    void generate() {
        const auto size = [&](const char *name) { return Base::size(name); };
        Problem p{*query,      *key,       *value,    *column_begin, *column_end, *row_begin, *row_end,
                  *tile_first, *row_first, *columns,  *rows,         size("W"),   size("H"),  size("w"),
                  size("h"),   size("D"),  size("C"), size("G"),     *scale,      mean,       form == Form::Gather};
        if constexpr (pass == Pass::Forward) {
            forward = std::make_unique<Forward>(p);
            *output = forward->output;
        } else if constexpr (pass == Pass::Statistics) {
            statistics = std::make_unique<Statistics>(p, *d_output);
            *output = statistics->output;
        } else if constexpr (pass == Pass::Query) {
            of_pixels = std::make_unique<OfPixels>(p, *d_output, *logarithm, *inner);
            *output = of_pixels->output;
        } else {
            Seeing seeing{*first_pixel, *pixels, {}, {}};
            if (form == Form::Gather) {
                seeing.first_line = *first_line;
                seeing.lines = *lines;
            }
            of_cells = std::make_unique<OfCells>(p, *d_output, *logarithm, *inner, seeing, form, pass == Pass::Key);
            *output = of_cells->output;
        }
        Base::fix_sizes();
    }

    void place() {
        if (Base::default_schedule) {
            return;
        }
        if constexpr (pass == Pass::Forward) {
            upwell::place(Base::where(), *forward);
        } else if constexpr (pass == Pass::Statistics) {
            upwell::place(Base::where(), *statistics);
        } else if constexpr (pass == Pass::Query) {
            upwell::place(Base::where(), *of_pixels);
        } else {
            upwell::place(Base::where(), *of_cells);
        }
    }

private:
    typename Base::Input query = nullptr, key = nullptr, value = nullptr, d_output = nullptr, logarithm = nullptr,
                         inner = nullptr, column_begin = nullptr, column_end = nullptr, row_begin = nullptr,
                         row_end = nullptr, tile_first = nullptr, row_first = nullptr, first_pixel = nullptr,
                         first_line = nullptr;
    typename Base::Integer columns = nullptr, rows = nullptr, pixels = nullptr, lines = nullptr;
    Form form = Form::Scan;
    typename Base::Real scale = nullptr;
    typename Base::Output output = nullptr;
    std::unique_ptr<Forward> forward;
    std::unique_ptr<Statistics> statistics;
    std::unique_ptr<OfPixels> of_pixels;
    std::unique_ptr<OfCells> of_cells;
};

using forward = AttentionKernel<Pass::Forward, false>;
using mean_forward = AttentionKernel<Pass::Forward, true>;
using statistics = AttentionKernel<Pass::Statistics, false>;
using mean_statistics = AttentionKernel<Pass::Statistics, true>;
using d_query = AttentionKernel<Pass::Query, false>;
using mean_d_query = AttentionKernel<Pass::Query, true>;
using d_key = AttentionKernel<Pass::Key, false>;
using mean_d_key = AttentionKernel<Pass::Key, true>;
using d_value = AttentionKernel<Pass::Value, false>;
using mean_d_value = AttentionKernel<Pass::Value, true>;

}  // namespace
}  // namespace upwell::cross_attention

HALIDE_REGISTER_GENERATOR(upwell::cross_attention::forward, cross_attention)
HALIDE_REGISTER_GENERATOR(upwell::cross_attention::mean_forward, cross_attention_mean)
HALIDE_REGISTER_GENERATOR(upwell::cross_attention::statistics, cross_attention_statistics)
HALIDE_REGISTER_GENERATOR(upwell::cross_attention::mean_statistics, cross_attention_mean_statistics)
HALIDE_REGISTER_GENERATOR(upwell::cross_attention::d_query, cross_attention_d_query)
HALIDE_REGISTER_GENERATOR(upwell::cross_attention::mean_d_query, cross_attention_mean_d_query)
HALIDE_REGISTER_GENERATOR(upwell::cross_attention::d_key, cross_attention_d_key)
HALIDE_REGISTER_GENERATOR(upwell::cross_attention::mean_d_key, cross_attention_mean_d_key)
HALIDE_REGISTER_GENERATOR(upwell::cross_attention::d_value, cross_attention_d_value)
HALIDE_REGISTER_GENERATOR(upwell::cross_attention::mean_d_value, cross_attention_mean_d_value)
