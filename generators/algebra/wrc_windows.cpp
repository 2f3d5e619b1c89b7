#include "algebra/wrc_windows.h"

#include "algebra/tuples.h"

namespace upwell {

using namespace Halide;
using Internal::make_zero;

namespace {

Tuple undefined(const std::vector<Type> &types) {
    std::vector<Expr> values;
    for (const Type &type : types) {
        values.push_back(undef(type));
    }
    return Tuple(values);
}

}  // namespace

Expr stored(Expr columns) {
    return (columns + stored_multiple - 1) / stored_multiple * stored_multiple;
}

Expr wrap(Expr i, Expr period) {
    return clamp(select(i < 0, i + period, i >= period, i - period, i), 0, period - 1);
}

Periodic repeat_columns(const std::string &name, Func map, Expr given, Expr period, Expr before, Expr after,
                        Form form) {
    Periodic p;
    p.result = Func(name);
    if (form == Form::Gather) {
        p.result(x, y, c, n) = Tuple(values(map, {wrap(x, period), y, c, n}));
        return p;
    }
    p.inside = RDom(0, given, name + "_inside");
    p.left = RDom(0, before, name + "_left");
    p.right = RDom(0, after, name + "_right");
    p.result(x, y, c, n) = undefined(map.types());
    p.result(p.inside, y, c, n) = Tuple(values(map, {p.inside, y, c, n}));
    p.result(p.left - before, y, c, n) = Tuple(values(map, {p.left - before + period, y, c, n}));
    p.result(p.right + period, y, c, n) = Tuple(values(map, {p.right, y, c, n}));
    return p;
}

Places by_place(const std::string &name, Func map, const WrcWindows &w) {
    Places p;
    Func rows(name + "_rows");
    rows(x, y, c, n) = Tuple(values(map, {x, wrap(y - w.before_y, w.height()), c, n}));
    const Expr after = max(w.scale * (w.span_x - 1) - w.before_x, 0);
    p.row = repeat_columns(name + "_row", rows, w.width(), w.width(), w.before_x, after, w.form);
    p.result = Func(name);
    p.result(x, place_x, place_y, y, c, n) =
        Tuple(values(p.row.result, {w.scale * x + place_x - w.before_x, w.scale * y + place_y, c, n}));
    return p;
}

WindowSum sum_windows(const std::string &name, Func places, const WrcWindows &w, const std::vector<int> &powers) {
    WindowSum s;
    s.sum = Func(name);
    s.window = RDom(0, w.scale, 0, w.span_x, 0, w.scale, 0, w.span_y, name + "_window");
    const RDom &r = s.window;
    const Expr factor = w.kernel(r.x, r.y, r.z, r.w, c);
    std::vector<Expr> none, sums;
    const std::vector<Expr> there = values(places, {x + r.y, r.x, r.z, y + r.w, c, n});
    for (size_t i = 0; i < there.size(); i++) {
        none.push_back(make_zero(w.type));
    }
    s.sum(x, y, c, n) = Tuple(none);
    for (size_t i = 0; i < there.size(); i++) {
        const Expr before = values(s.sum, {x, y, c, n})[i];
        sums.push_back(before + (powers[i] == 2 ? factor * factor : factor) * there[i]);
    }
    s.sum(x, y, c, n) = Tuple(sums);
    return s;
}

WindowSpread spread_windows(const std::string &name, Func repeated, const WrcWindows &w) {
    WindowSpread s;
    s.sum = Func(name);
    s.cells = RDom(0, w.span_x, 0, w.span_y, name + "_cells");
    s.sum(x, place_x, place_y, y, c, n) = make_zero(w.type);
    s.sum(x, place_x, place_y, y, c, n) += w.kernel(place_x, s.cells.x, place_y, s.cells.y, c) *
                                           repeated(x - s.cells.x, wrap(y - s.cells.y, w.rows), c, n);
    return s;
}

PixelSpread spread_to_pixels(const std::string &name, Func map, Expr given, const PixelPlaces &x_places,
                             const PixelPlaces &y_places, const WrcWindows &w) {
    PixelSpread s;
    s.low = repeat_columns(name + "_low", map, given, w.columns, w.span_x - 1, w.span_x, w.form);
    s.cells = RDom(0, w.span_x, 0, w.span_y, name + "_cells");
    s.sum = Func(name + "_sum");
    s.result = Func(name);
    const auto term = [&](Expr cell, Expr place) {
        const auto in_cell = [&](Expr p) { return clamp(p, 0, w.scale - 1); };
        return w.kernel(in_cell(place), s.cells.x, in_cell(y_places.place(y)), s.cells.y, c) *
               s.low.result(cell - s.cells.x, wrap(y_places.cell(y) - s.cells.y, w.rows), c, n);
    };
    if (w.form == Form::Gather) {
        s.sum(x, y, c, n) = make_zero(w.type);
        s.sum(x, y, c, n) += term(x_places.cell(x), x_places.place(x));
        s.result(x, y, c, n) = s.sum(x, y, c, n);
        return s;
    }
    s.sum(x, place_x, y, c, n) = make_zero(w.type);
    s.sum(x, place_x, y, c, n) += term(x, place_x);
    s.place = RDom(0, w.scale, 0, stored(w.columns + w.span_x), name + "_place");
    s.interleaved = Func(name + "_interleaved");
    s.interleaved(x, y, c, n) = undef(w.type);
    s.interleaved(w.scale * s.place.y + s.place.x, y, c, n) = s.sum(s.place.y, s.place.x, y, c, n);
    s.result(x, y, c, n) = s.interleaved(x + w.before_x, y, c, n);
    return s;
}

}  // namespace upwell
