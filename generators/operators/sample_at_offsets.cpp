// Samples of a map at learned offsets, and their two gradients. The arguments in order, Halide's dimensions innermost
// first; C are the channels of a group, G groups, and a place is one of an offset's plane, whatever its layout:
//     d_output  (W, H, C, G, N)     sample_at_offsets_d_value and sample_at_offsets_d_offsets
//     value     (cells, C, G, N)    sample_at_offsets and sample_at_offsets_d_offsets; cells row-major
//     offsets   (places, G, 2, N)   along x, along y
//     columns   (W, 2) int32        the column of cells that a column of pixels lies in; its part of the place
//     rows      (H, 2) int32        the same along y; the place of a pixel is the sum of both parts
//     width     int32               of the map, in cells
//     height    int32
//     -> output (W, H, C, G, N), d_value (cells, C, G, N) or d_offsets (W, H, G, 2, N)
#include "algebra/offset_samples.h"

#include "kernel.h"
#include "schedules/offset_samples.h"

namespace upwell::offset_samples {
namespace {

// Parts: Samples, DValue or DOffsets.
template<class Parts> class SampleAtOffsets : public Kernel<SampleAtOffsets<Parts>> {
    using Base = Kernel<SampleAtOffsets<Parts>>;
    using typename Base::Input, typename Base::Integer, typename Base::Output;
    static constexpr bool forward = std::is_same_v<Parts, Samples>, of_value = std::is_same_v<Parts, DValue>;
    static constexpr const char *low_sizes = "cells,C,G,N", *high_sizes = "W,H,C,G,N";

public:
    void configure() {
        if (!forward) {
            d_output = this->map("d_output", high_sizes);
        }
        if (!of_value) {
            value = this->map("value", low_sizes);
        }
        offsets = this->map("offsets", "places,G,2,N");
        columns = this->table("columns", "W,2");
        rows = this->table("rows", "H,2");
        width = this->integer("width");
        height = this->integer("height");
        result = forward    ? this->out("output", high_sizes)
                 : of_value ? this->out("d_value", low_sizes)
                            : this->out("d_offsets", "W,H,G,2,N");
    }

    void generate() {
        this->set_size("cells", *width * *height);
        const Problem problem{*offsets,
                              *columns,
                              *rows,
                              this->size("places"),
                              *width,
                              *height,
                              this->size("W"),
                              this->size("H"),
                              this->size("C"),
                              this->type,
                              channel_lanes(this->type, this->where()),
                              form_of_sums(this->where())};
        if constexpr (forward) {
            parts = std::make_unique<Parts>(problem, *value);
            *result = parts->output;
        } else if constexpr (of_value) {
            parts = std::make_unique<Parts>(problem, *d_output);
            *result = parts->d_value;
        } else {
            parts = std::make_unique<Parts>(problem, *d_output, *value);
            *result = parts->d_offsets;
        }
        this->fix_sizes();
    }

    void place() {
        if (this->default_schedule) {
            schedule_plainly(*parts);
        } else {
            upwell::place(this->where(), *parts);
        }
    }

private:
    Input d_output = nullptr, value = nullptr, offsets = nullptr, columns = nullptr, rows = nullptr;
    Integer width = nullptr, height = nullptr;
    Output result = nullptr;
    std::unique_ptr<Parts> parts;
};

using Forward = SampleAtOffsets<Samples>;
using OfValue = SampleAtOffsets<DValue>;
using OfOffsets = SampleAtOffsets<DOffsets>;

}  // namespace
}  // namespace upwell::offset_samples

HALIDE_REGISTER_GENERATOR(upwell::offset_samples::Forward, sample_at_offsets)
HALIDE_REGISTER_GENERATOR(upwell::offset_samples::OfValue, sample_at_offsets_d_value)
HALIDE_REGISTER_GENERATOR(upwell::offset_samples::OfOffsets, sample_at_offsets_d_offsets)
