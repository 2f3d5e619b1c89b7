// Functions of several values at once, all defined alike.
#pragma once

#include "Halide.h"

#include <functional>

namespace upwell {

using Arguments = std::vector<Halide::Expr>;

inline Arguments arguments(const Halide::Func &f) {
    const std::vector<Halide::Var> names = f.args();
    return {names.begin(), names.end()};
}

// The arguments with one of them replaced.
inline Arguments at(Arguments place, int dimension, Halide::Expr value) {
    place[dimension] = value;
    return place;
}

// The values of f at a place, one or several.
inline std::vector<Halide::Expr> values(const Halide::Func &f, const Arguments &place) {
    if (f.outputs() == 1) {
        return {f(place)};
    }
    return Halide::Tuple(f(place)).as_vector();
}

// combine(first value of each list), combine(second value of each), ...
template<class Combine, class... Lists>
Halide::Tuple each(const Combine &combine, const std::vector<Halide::Expr> &first, const Lists &...more) {
    std::vector<Halide::Expr> results;
    for (size_t i = 0; i < first.size(); i++) {
        results.push_back(combine(first[i], more[i]...));
    }
    return Halide::Tuple(results);
}

}  // namespace upwell
