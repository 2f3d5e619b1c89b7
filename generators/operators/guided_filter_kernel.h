// What the generators of guided filters share: the places at which samples are taken and read, and the options.
#pragma once

#include <string>

#include "algebra/guided_filter.h"
#include "kernel.h"
#include "schedules/form.h"

namespace upwell {

template<class Self> class GuidedFilterArguments : public Kernel<Self> {
    using Base = Kernel<Self>;

protected:
    using typename Base::Input, typename Base::Integer, typename Base::Real;

    // Behind the maps.
    void add_places_and_options() {
        for (Table *table : {&key_columns, &key_rows, &columns, &rows}) {
            table->lower = this->table(table->name + "s", table->places);
            table->fraction = this->map(table->name + "_fraction", table->places);
        }
        radius = this->integer("radius");
        scale = this->integer("scale");
        eps = this->real("eps");
    }

    void set_image_size() {
        this->set_size("W", columns.lower->dim(0).extent());
        this->set_size("H", rows.lower->dim(0).extent());
    }

    GuidedFilterProblem problem(Halide::Func guide, Halide::Func input) const {
        const Form form = form_of_sums(this->where());
        const Halide::Expr sample_columns = this->size("Ws"), sample_rows = this->size("Hs");
        return {guide,
                input,
                key_columns.axis(this->size("w"), form),
                key_rows.axis(this->size("h"), form),
                columns.axis(sample_columns, form),
                rows.axis(sample_rows, form),
                BoxAxis("box_columns", *radius, sample_columns, this->type, form),
                BoxAxis("box_rows", *radius, sample_rows, this->type, form),
                *scale,
                *eps,
                this->type};
    }

private:
    struct Table {
        std::string name, places;
        Input lower = nullptr, fraction = nullptr;

        LinearAxis axis(Halide::Expr low, Form form) const {
            return {*lower, *fraction, low, lower->dim(0).extent(), form};
        }
    };

    Table key_columns{"key_column", "Ws"}, key_rows{"key_row", "Hs"}, columns{"column", "W"}, rows{"row", "H"};
    Integer radius = nullptr, scale = nullptr;
    Real eps = nullptr;
};

}  // namespace upwell
