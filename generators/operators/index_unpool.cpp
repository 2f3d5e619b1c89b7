// Cells times the index of their pixels, and the two gradients. The arguments in order, Halide's dimensions innermost
// first; C are the channels of a group, G groups; a column x of pixels is b of q, and a row is s of j:
//     d_output  (W, S, J, C, G, N)   index_unpool_d_value and index_unpool_d_index
//     value     (w, h, C, G, N)      index_unpool and index_unpool_d_index
//     index     (Q, B, S, J, G, N)   index_unpool and index_unpool_d_value; with any strides but of Q
//     columns   (W, 3) int32         the column of cells that x lies in; its q; its b
//     rows      (J) int32            the row of cells that j lies in; not of index_unpool_d_value, which has
//     first_x   (w + 1) int32        the first column of pixels of one of cells, and behind the last one
//     first_j   (h + 1) int32        likewise
//     most_x, most_j int32           of one column and row of cells
//     of_q      int32                B; of index_unpool_d_index
//     -> output (W, S, J, C, G, N), d_value (w, h, C, G, N) or d_index (Q, B, S, J, G, N)
#include "algebra/index_unpool.h"

#include "kernel.h"
#include "schedules/index_unpool.h"

namespace upwell::index_unpool {
namespace {

// Parts: Unpooled, DValue or DIndex.
template<class Parts> class IndexUnpool : public Kernel<IndexUnpool<Parts>> {
    using Base = Kernel<IndexUnpool<Parts>>;
    using typename Base::Input, typename Base::Integer, typename Base::Output;
    static constexpr bool forward = std::is_same_v<Parts, Unpooled>, of_value = std::is_same_v<Parts, DValue>;
    static constexpr const char *low_sizes = "w,h,C,G,N", *high_sizes = "W,S,J,C,G,N", *index_sizes = "Q,B,S,J,G,N";

public:
    void configure() {
        if (!forward) {
            d_output = this->map("d_output", high_sizes);
        }
        if (!of_value) {
            value = this->map("value", low_sizes);
        }
        if (forward || of_value) {
            index = this->map("index", index_sizes);
        }
        columns = this->table("columns", "W,3");
        if (of_value) {
            first_x = this->table("first_x", "columns of cells and one");
            first_j = this->table("first_j", "rows of cells and one");
            most_x = this->integer("most_x");
            most_j = this->integer("most_j");
        } else {
            rows = this->table("rows", "J");
            if (!forward) {
                of_q = this->integer("of_q");
            }
        }
        result = forward    ? this->out("output", high_sizes)
                 : of_value ? this->out("d_value", low_sizes)
                            : this->out("d_index", index_sizes);
    }

    void generate() {
        if (of_value) {
            this->set_size("w", first_x->dim(0).extent() - 1);
            this->set_size("h", first_j->dim(0).extent() - 1);
        } else if (!forward) {
            this->set_size("B", *of_q);
        }
        Problem p;
        p.columns = *columns;
        p.w = this->size("w");
        p.h = this->size("h");
        p.W = this->size("W");
        p.Q = this->size("Q");
        p.B = this->size("B");
        p.S = this->size("S");
        p.J = this->size("J");
        p.channels = this->size("C");
        p.groups = this->size("G");
        p.type = this->type;
        if constexpr (of_value) {
            p.first_x = *first_x;
            p.first_j = *first_j;
            p.most_x = *most_x;
            p.most_j = *most_j;
            parts = std::make_unique<Parts>(p, *d_output, *index);
            *result = parts->d_value;
        } else {
            p.rows = *rows;
            if constexpr (forward) {
                parts = std::make_unique<Parts>(p, *value, *index);
                *result = parts->output;
            } else {
                parts = std::make_unique<Parts>(p, *d_output, *value);
                *result = parts->d_index;
            }
        }
        this->fix_sizes();
    }

    void place() {
        if (!this->default_schedule) {
            upwell::place(this->where(), *parts);
        }
    }

private:
    Input d_output = nullptr, value = nullptr, index = nullptr, columns = nullptr, rows = nullptr, first_x = nullptr,
          first_j = nullptr;
    Integer most_x = nullptr, most_j = nullptr, of_q = nullptr;
    Output result = nullptr;
    std::unique_ptr<Parts> parts;
};

using Forward = IndexUnpool<Unpooled>;
using OfValue = IndexUnpool<DValue>;
using OfIndex = IndexUnpool<DIndex>;

}  // namespace
}  // namespace upwell::index_unpool

HALIDE_REGISTER_GENERATOR(upwell::index_unpool::Forward, index_unpool)
HALIDE_REGISTER_GENERATOR(upwell::index_unpool::OfValue, index_unpool_d_value)
HALIDE_REGISTER_GENERATOR(upwell::index_unpool::OfIndex, index_unpool_d_index)
